package evidence

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"path/filepath"
	"slices"
	"strings"
)

// HeadSize is how much of a file's beginning Kind should be given: some cameras write
// a lot before a picture's size.
const HeadSize = 256 << 10

// The kinds that are no images.
const (
	plain  = "text/plain"
	octets = "application/octet-stream"
)

// maxPixels is how large an image may be that is shown: a few kilobytes can hold
// more than a browser has memory for.
const maxPixels = 100_000_000

// The notes that Kind makes.
const (
	notAnImage   = "It is called an image but is not one; it is kept as a file."
	tooLarge     = "It is an image too large to be shown; it is kept as a file."
	otherImage   = "It is an image of a kind that is not shown here; it is kept as a file."
	drawingAsXML = "It is a drawing that could hold a program; it is shown as text."
)

// Kind decides from a file's beginning how the file may be shown, whatever it is
// called: name is its file name and declared the media type that came with it. Only
// png, jpeg, gif and webp whose size can be read count as images. Text of every sort,
// pages and drawings (SVG) too, is text/plain: shown, never run. All else is
// application/octet-stream. note is one sentence for people, "" when there is nothing
// to say.
func Kind(head []byte, name, declared string) (mediaType string, isImage bool, note string) {
	t, size, decoded := imageOf(head)
	switch {
	case decoded && int64(size.Width)*int64(size.Height) <= maxPixels:
		return t, true, ""
	case decoded:
		return octets, false, tooLarge
	case isText(head):
		if !callsItselfImage(name, declared) {
			return plain, false, ""
		}
		if isSVG(name, declared) {
			return plain, false, drawingAsXML
		}
		return octets, false, notAnImage
	case isOtherImage(head):
		return octets, false, otherImage
	case callsItselfImage(name, declared):
		return octets, false, notAnImage
	}
	return octets, false, ""
}

// imageOf reads an image's kind and size.
func imageOf(head []byte) (mediaType string, c image.Config, ok bool) {
	var err error
	switch r := bytes.NewReader(head); {
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		mediaType = "image/png"
		c, err = png.DecodeConfig(r)
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		mediaType = "image/jpeg"
		c, err = jpeg.DecodeConfig(r)
	case bytes.HasPrefix(head, []byte("GIF8")):
		mediaType = "image/gif"
		c, err = gif.DecodeConfig(r)
	default:
		mediaType = "image/webp"
		c, ok = webp(head)
		return mediaType, c, ok
	}
	return mediaType, c, err == nil && c.Width > 0 && c.Height > 0
}

// webp reads the size from the header of a WebP file (RFC 9649 sections 2.4 to 2.7):
// RIFF, its length, WEBP, then the first chunk.
func webp(b []byte) (c image.Config, ok bool) {
	if len(b) < 30 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WEBP" {
		return c, false
	}
	switch data := b[20:]; string(b[12:16]) {
	case "VP8 ": // a key frame: three bytes, the start code, then 14 bits each
		if data[0]&1 != 0 || string(data[3:6]) != "\x9d\x01\x2a" {
			return c, false
		}
		c.Width, c.Height = int(binary.LittleEndian.Uint16(data[6:])&0x3fff), int(binary.LittleEndian.Uint16(data[8:])&0x3fff)
	case "VP8L": // a signature byte, then 14 bits each, less one
		bits := binary.LittleEndian.Uint32(data[1:])
		if data[0] != 0x2f || bits>>29 != 0 {
			return c, false
		}
		c.Width, c.Height = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1
	case "VP8X": // four bytes of flags, then 24 bits each, less one
		c.Width, c.Height = int(binary.LittleEndian.Uint32(data[4:])&0xffffff)+1, int(binary.LittleEndian.Uint32(data[6:])>>8)+1
	}
	return c, c.Width > 0 && c.Height > 0
}

// otherImages are how the images begin that browsers or people know and that are not
// shown here. Of HEIC and AVIF it is what comes after the first four bytes.
var otherImages = []string{"BM", "II*\x00", "MM\x00*", "\x00\x00\x01\x00", "\xff\x0a", "\x00\x00\x00\x0cJXL "}

func isOtherImage(head []byte) bool {
	if len(head) >= 12 && string(head[4:8]) == "ftyp" {
		return slices.Contains([]string{"heic", "heix", "heif", "mif1", "msf1", "avif", "avis"}, string(head[8:12]))
	}
	return slices.ContainsFunc(otherImages, func(begin string) bool { return bytes.HasPrefix(head, []byte(begin)) })
}

// isText says whether a file can be read as text: no bytes that only programs write
// (the list of WHATWG's MIME Sniffing, section 3), and not one of the formats that
// begin as if they were text.
func isText(head []byte) bool {
	if bytes.HasPrefix(head, []byte("%PDF-")) || bytes.HasPrefix(head, []byte("%!PS-Adobe-")) {
		return false
	}
	return bytes.IndexFunc(head, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\f' && r != '\r' && r != 0x1b
	}) < 0 && !bytes.HasPrefix(head, []byte{0xff, 0xfe}) && !bytes.HasPrefix(head, []byte{0xfe, 0xff})
}

var imageNames = []string{".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".ico", ".tif", ".tiff", ".heic", ".avif", ".jxl", ".svg", ".svgz"}

func callsItselfImage(name, declared string) bool {
	return strings.HasPrefix(mediaType(declared), "image/") || slices.Contains(imageNames, extension(name))
}

func isSVG(name, declared string) bool {
	return mediaType(declared) == "image/svg+xml" || extension(name) == ".svg"
}

func extension(name string) string { return strings.ToLower(filepath.Ext(name)) }

func mediaType(declared string) string {
	t, _, _ := strings.Cut(declared, ";")
	return strings.ToLower(strings.TrimSpace(t))
}
