package statuspage

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"slices"
	"strings"

	"lifeboat/internal/fault"
)

// Limits on a logo: it is a part of what loads at once.
const (
	MaxLogo      = 64 << 10 // bytes
	maxLogoSide  = 2000     // pixels of a PNG
	maxLogoDepth = 40       // elements within elements
	maxLogoParts = 5000     // elements
)

// CheckLogo says which type a logo has: image/svg+xml or image/png. An SVG may draw,
// and nothing else: what runs, loads or leads somewhere is refused by name.
func CheckLogo(b []byte) (string, error) {
	switch {
	case len(b) == 0:
		return "", fault.New(fault.Invalid, "the logo is empty").WithHint("save it as SVG or PNG")
	case len(b) > MaxLogo:
		return "", fault.New(fault.Invalid, "the logo has %d bytes, %d fit", len(b), MaxLogo).WithHint("save it smaller: an SVG of a few paths, or a PNG of 64 pixels' height")
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		c, err := png.DecodeConfig(bytes.NewReader(b))
		if err != nil {
			return "", fault.New(fault.Invalid, "the PNG can't be read").Because(err).WithHint("save it again")
		}
		if c.Width > maxLogoSide || c.Height > maxLogoSide {
			return "", fault.New(fault.Invalid, "the logo has %d × %d pixels, %d × %d fit", c.Width, c.Height, maxLogoSide, maxLogoSide).WithHint("save it smaller")
		}
		return "image/png", nil
	}
	if err := checkSVG(b); err != nil {
		return "", err
	}
	return "image/svg+xml", nil
}

// drawn are the elements of SVG that only draw.
var drawn = []string{
	"svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "title", "desc", "defs", "symbol", "use", "style",
	"linearGradient", "radialGradient", "stop", "clipPath", "mask", "pattern", "metadata",
}

func checkSVG(b []byte) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	depth, parts, style := 0, 0, false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fault.New(fault.Invalid, "the logo is neither PNG nor well-formed SVG").Because(err).WithHint("save it again as plain SVG")
		}
		switch t := t.(type) {
		case xml.Directive:
			return refusedLogo("a document type", "remove the line that begins with <!DOCTYPE")
		case xml.ProcInst:
			if t.Target != "xml" {
				return refusedLogo("the instruction <?"+clipped(t.Target), "remove it")
			}
		case xml.StartElement:
			if depth++; depth > maxLogoDepth {
				return refusedLogo("elements too deep in each other", "save it as plain SVG")
			}
			if parts++; parts > maxLogoParts {
				return refusedLogo("too many elements", "save it as plain SVG of fewer paths")
			}
			if parts == 1 && (t.Name.Local != "svg" || t.Name.Space != "http://www.w3.org/2000/svg") {
				return fault.New(fault.Invalid, "the logo is no SVG: it begins with <%s>", clipped(t.Name.Local)).WithHint(`it has to begin with <svg xmlns="http://www.w3.org/2000/svg">`)
			}
			if err := checkElement(t); err != nil {
				return err
			}
			style = t.Name.Local == "style"
		case xml.EndElement:
			depth--
			style = false
		case xml.CharData:
			if style && loads(string(t)) {
				return refusedLogo("a style that loads something", "draw without it")
			}
		}
	}
	if parts == 0 {
		return fault.New(fault.Invalid, "the logo is neither PNG nor SVG").WithHint("save it as SVG or PNG")
	}
	return nil
}

func checkElement(e xml.StartElement) error {
	if e.Name.Space == "http://www.w3.org/2000/svg" && !slices.Contains(drawn, e.Name.Local) {
		return refusedLogo("<"+clipped(e.Name.Local)+">", "a logo may only draw: remove it")
	}
	if e.Name.Space == "http://www.w3.org/1999/xhtml" || e.Name.Local == "script" {
		return refusedLogo("<"+clipped(e.Name.Local)+">", "a logo may only draw: remove it")
	}
	for _, a := range e.Attr {
		name, value := strings.ToLower(a.Name.Local), strings.TrimSpace(a.Value)
		switch {
		case strings.HasPrefix(name, "on"):
			return refusedLogo("the attribute "+clipped(a.Name.Local), "a logo may not run anything: remove it")
		case name == "href" && !strings.HasPrefix(value, "#"):
			return refusedLogo("a link to somewhere else", "a logo may only refer to its own parts: remove the href")
		case name != "href" && loads(value):
			return refusedLogo("the attribute "+clipped(a.Name.Local)+", which loads something", "draw without it")
		}
	}
	return nil
}

// loads says whether style text refers to anything but a part of the same drawing.
func loads(css string) bool {
	css = strings.ToLower(css)
	if strings.Contains(css, "@import") || strings.Contains(css, "expression(") || strings.Contains(css, "javascript:") || strings.Contains(css, "\\") {
		return true
	}
	for _, part := range strings.Split(css, "url(")[1:] {
		if !strings.HasPrefix(strings.TrimLeft(part, " '\""), "#") {
			return true
		}
	}
	return false
}

func refusedLogo(what, remedy string) error {
	return fault.New(fault.Invalid, "the logo holds %s", what).WithHint("%s", remedy)
}

func clipped(s string) string { return cut(line(s), 40) }
