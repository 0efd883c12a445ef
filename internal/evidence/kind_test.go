package evidence

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
)

func picture() image.Image {
	m := image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{color.Black, color.White})
	m.Set(1, 1, color.White)
	return m
}

func encoded(t testing.TB, encode func(b *bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	must(t, encode(&b))
	return b.String()
}

// The smallest WebP files of each sort.
func webps(t testing.TB) (lossy, lossless, extended string) {
	t.Helper()
	decode := func(s string) string {
		b, err := base64.StdEncoding.DecodeString(s)
		must(t, err)
		return string(b)
	}
	return decode("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"), decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="),
		decode("UklGRkoAAABXRUJQVlA4WAoAAAAQAAAAAAAAAAAAQUxQSAwAAAARBxAR/Q9ERP8DAABWUDggGAAAABQBAJ0BKgEAAQAAAP4AAA3AAP7mtQAAAA==")
}

func TestKind(t *testing.T) {
	t.Parallel()
	pic := picture()
	aPNG := encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, pic) })
	aJPEG := encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, pic, nil) })
	aGIF := encoded(t, func(b *bytes.Buffer) error { return gif.Encode(b, pic, nil) })
	lossy, lossless, extended := webps(t)
	camera := aJPEG[:2] + strings.Repeat("\xff\xe1\xff\xff"+strings.Repeat("E", 65533), 3) + aJPEG[2:] // as much as fits before the size
	huge := aPNG[:16] + "\x00\x01\x00\x00\x00\x01\x00\x00" + aPNG[24:]
	for name, c := range map[string]struct {
		head, name, declared string
		mediaType            string
		isImage              bool
		note                 string
	}{
		"png":                    {aPNG, "a.png", "image/png", "image/png", true, ""},
		"png, its beginning":     {aPNG[:60], "a.png", "image/png", "image/png", true, ""},
		"jpeg":                   {aJPEG, "a.jpg", "image/jpeg", "image/jpeg", true, ""},
		"jpeg of a camera":       {camera[:min(len(camera), HeadSize)], "a.jpg", "image/jpeg", "image/jpeg", true, ""},
		"gif":                    {aGIF, "a.gif", "", "image/gif", true, ""},
		"webp lossy":             {lossy, "a.webp", "image/webp", "image/webp", true, ""},
		"webp lossless":          {lossless, "a.webp", "", "image/webp", true, ""},
		"webp extended":          {extended, "a", "", "image/webp", true, ""},
		"png under another name": {aPNG, "notes.txt", "text/html", "image/png", true, ""},
		"png of 65536 squared":   {huge, "a.png", "image/png", octets, false, notAnImage}, // its checksum is wrong now
		"cut too short":          {aPNG[:20], "a.png", "image/png", octets, false, notAnImage},
		"a page called image":    {"<html><script>alert(1)</script>", "a.png", "image/png", octets, false, notAnImage},
		"png header, then page":  {"\x89PNG\r\n\x1a\n<script>alert(1)</script>", "a.png", "image/png", octets, false, notAnImage},
		"webp of nothing":        {"RIFF\x00\x00\x00\x00WEBPVP8 \x00\x00\x00\x00" + strings.Repeat("\x00", 10), "a.webp", "", octets, false, notAnImage},
		"svg":                    {"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "a.svg", "image/svg+xml; charset=utf-8", plain, false, drawingAsXML},
		"svg by name":            {"<svg/>", "a.SVG", "", plain, false, drawingAsXML},
		"svg that is none":       {"\x00\x01\x02", "a.svg", "image/svg+xml", octets, false, notAnImage},
		"html":                   {"<!DOCTYPE html><html>", "index.html", "text/html", plain, false, ""},
		"html as pdf":            {"<!DOCTYPE html><html>", "a.pdf", "application/pdf", plain, false, ""},
		"a log":                  {"2026-11-20 \x1b[31mERROR\x1b[0m caf\xe9\n", "a.log", "", plain, false, ""},
		"json":                   {`{"a":1}`, "a.json", "application/json", plain, false, ""},
		"nothing":                {"", "", "", plain, false, ""},
		"utf-16":                 {"\xff\xfea\x00", "a.txt", "text/plain", octets, false, ""},
		"pdf":                    {"%PDF-1.7\n", "a.pdf", "application/pdf", octets, false, ""},
		"gzip":                   {"\x1f\x8b\x08\x00", "a.gz", "", octets, false, ""},
		"a core":                 {"\x7fELF\x02\x01", "core", "text/plain", octets, false, ""},
		"heic":                   {"\x00\x00\x00\x18ftypheic\x00", "IMG_1.HEIC", "image/heic", octets, false, otherImage},
		"a film":                 {"\x00\x00\x00\x18ftypmp42\x00", "a.mp4", "video/mp4", octets, false, ""},
		"bmp":                    {"BM\x00\x00\x00\x00", "a.bmp", "image/bmp", octets, false, otherImage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mediaType, isImage, note := Kind([]byte(c.head), c.name, c.declared)
			if mediaType != c.mediaType || isImage != c.isImage || note != c.note {
				t.Errorf("%s, image %t, %q", mediaType, isImage, note)
			}
		})
	}
}

// A small file can be an image that no browser has the memory for.
func TestTooLargeAnImage(t *testing.T) {
	t.Parallel()
	large := "GIF89a\xff\xff\xff\xff\x00\x00\x00" + ";"
	if mediaType, isImage, note := Kind([]byte(large), "a.gif", "image/gif"); mediaType != octets || isImage || note != tooLarge {
		t.Errorf("%s, image %t, %q", mediaType, isImage, note)
	}
	_, _, extended := webps(t)
	large = extended[:24] + "\xff\xff\xff\xff\xff\xff" + extended[30:]
	if mediaType, isImage, note := Kind([]byte(large), "a.webp", ""); mediaType != octets || isImage || note != tooLarge {
		t.Errorf("%s, image %t, %q", mediaType, isImage, note)
	}
}

func FuzzKind(f *testing.F) {
	lossy, lossless, extended := webps(f)
	pic := picture()
	for _, s := range []string{
		"", "<svg/>", "%PDF-", lossy, lossless, extended, encoded(f, func(b *bytes.Buffer) error { return png.Encode(b, pic) }),
		encoded(f, func(b *bytes.Buffer) error { return jpeg.Encode(b, pic, nil) }), encoded(f, func(b *bytes.Buffer) error { return gif.Encode(b, pic, nil) }),
	} {
		f.Add([]byte(s), "a.png", "image/png")
		f.Add([]byte(s), "a.svg", "text/plain")
	}
	f.Fuzz(func(t *testing.T, head []byte, name, declared string) {
		mediaType, isImage, note := Kind(head, name, declared)
		shown := map[string]bool{"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true}
		switch {
		case isImage != shown[mediaType], isImage && note != "":
			t.Errorf("%s, image %t, %q", mediaType, isImage, note)
		case !isImage && mediaType != plain && mediaType != octets:
			t.Errorf("%s", mediaType)
		case mediaType == plain && bytes.IndexByte(head, 0) >= 0:
			t.Error("text with a zero byte")
		}
	})
}
