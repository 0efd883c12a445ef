package standby

import (
	"bytes"
	"compress/gzip"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// encodings are what a document is compressed with, in the order in which they are
// taken where who asks can read several: a page is written anew every few seconds, and
// at these settings brotli makes the smallest of it in about a millisecond.
var encodings = []struct {
	name     string
	compress func([]byte) []byte
}{{"br", compressBrotli}, {"zstd", compressZstd}, {"gzip", compressGzip}}

// brotliQuality is the highest that does not take tens of milliseconds a page.
const brotliQuality = 6

// Compressors are kept, since each holds most of a megabyte.
var (
	gzips   = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	brotlis = sync.Pool{New: func() any { return brotli.NewWriterLevel(nil, brotliQuality) }}
	zstds   = sync.Pool{New: func() any {
		w, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(64<<10)) // fails only on bad options
		return w
	}}
)

func compressGzip(plain []byte) []byte   { return compressWith(&gzips, plain) }
func compressBrotli(plain []byte) []byte { return compressWith(&brotlis, plain) }
func compressZstd(plain []byte) []byte   { return compressWith(&zstds, plain) }

// compressor is what the three packages have in common.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

func compressWith(kept *sync.Pool, plain []byte) []byte {
	var b bytes.Buffer
	w := kept.Get().(compressor)
	defer kept.Put(w)
	w.Reset(&b)
	_, _ = w.Write(plain) // writing to a buffer doesn't fail
	_ = w.Close()
	return b.Bytes()
}

// accepts says whether an encoding is named with a weight above 0, or a star is and it
// is not named (RFC 9110 section 12.5.3).
func accepts(headers []string, encoding string) bool {
	star := false
	for element := range elements(headers) {
		name, q := weigh(element)
		if name == encoding || encoding == "gzip" && name == "x-gzip" {
			return q > 0
		}
		star = star || name == "*" && q > 0
	}
	return star
}

// common is what nearly every browser sends; it need not be taken apart.
func common(headers []string) bool {
	return len(headers) == 1 && (headers[0] == "gzip, deflate, br, zstd" || headers[0] == "gzip, deflate, br")
}
