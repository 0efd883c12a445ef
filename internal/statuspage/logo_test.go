package statuspage

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"strings"
	"testing"

	"lifeboat/internal/fault"
)

func svg(inside string) string {
	return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 10">` + inside + `</svg>`
}

func picture(t testing.TB, side int) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, side, 1))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLogos(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, kind, why string }{
		"paths":            {svg(`<title>A</title><g fill="#123"><path d="M0 0h1"/></g>`), "image/svg+xml", ""},
		"gradient":         {svg(`<defs><linearGradient id="a"/></defs><path fill="url(#a)"/><use xlink:href="#b" href="#c"/>`), "image/svg+xml", ""},
		"style":            {`<?xml version="1.0"?>` + svg(`<style>path{fill:url('#a')}</style>`), "image/svg+xml", ""},
		"picture":          {picture(t, 64), "image/png", ""},
		"nothing":          {"", "", "empty"},
		"script":           {svg(`<script>alert(1)</script>`), "", "<script>"},
		"html script":      {svg(`<x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)</x:script>`), "", "<script>"},
		"handler":          {svg(`<path onload="alert(1)"/>`), "", "onload"},
		"handler on top":   {strings.Replace(svg(""), "<svg ", `<svg ONLOAD="alert(1)" `, 1), "", "ONLOAD"},
		"link":             {svg(`<a href="https://evil.example"><path/></a>`), "", "<a>"},
		"use from afar":    {svg(`<use href="https://evil.example/x.svg#a"/>`), "", "link to somewhere else"},
		"picture in it":    {svg(`<image href="https://evil.example/x.png"/>`), "", "<image>"},
		"foreign":          {svg(`<foreignObject/>`), "", "<foreignObject>"},
		"animation":        {svg(`<animate attributeName="href" to="javascript:alert(1)"/>`), "", "<animate>"},
		"import":           {svg(`<style>@import "https://evil.example/x.css"</style>`), "", "style that loads"},
		"url":              {svg(`<path style="fill:url(https://evil.example/x)"/>`), "", "loads something"},
		"escaped url":      {svg(`<style>path{fill:u\72l(https://evil.example/x)}</style>`), "", "style that loads"},
		"entity bomb":      {`<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + svg("&b;"), "", "document type"},
		"stylesheet":       {`<?xml-stylesheet href="https://evil.example/x.css"?>` + svg(""), "", "instruction"},
		"deep":             {svg(strings.Repeat("<g>", 50) + strings.Repeat("</g>", 50)), "", "too deep"},
		"many":             {svg(strings.Repeat("<g/>", 6000)), "", "too many"},
		"large":            {svg(strings.Repeat(" ", MaxLogo)), "", "bytes"},
		"no svg":           {"<html></html>", "", "no SVG"},
		"without its name": {"<svg></svg>", "", "no SVG"},
		"not closed":       {"<svg xmlns='http://www.w3.org/2000/svg'>", "", "well-formed"},
		"text":             {"a logo", "", "neither"},
		"wide":             {picture(t, 3000), "", "pixels"},
		"cut":              {picture(t, 64)[:20], "", "can't be read"},
	} {
		kind, err := CheckLogo([]byte(c.text))
		if kind != c.kind || (err == nil) != (c.why == "") || err != nil && !strings.Contains(fmt.Sprint(err), c.why) {
			t.Errorf("%s: %q, %v; want %q, %q", name, kind, err, c.kind, c.why)
		}
		var f *fault.Error
		if err != nil && (!errors.As(err, &f) || f.Kind != fault.Invalid || f.Hint == "") {
			t.Errorf("%s: %v has no remedy", name, err)
		}
	}
}

func FuzzLogo(f *testing.F) {
	for _, s := range []string{svg("<path/>"), svg("<script/>"), "<!DOCTYPE x>", "\x89PNG\r\n\x1a\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, err := CheckLogo(b)
		if err == nil && kind == "image/svg+xml" && bytes.Contains(bytes.ToLower(b), []byte("<script")) && !bytes.Contains(b, []byte("<!--")) && !bytes.Contains(b, []byte("CDATA")) {
			t.Errorf("taken: %q", b)
		}
	})
}
