package objectlever

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"lifeboat/internal/fault"
)

// Credentials are what requests are signed with.
type Credentials struct {
	ID     string
	Secret string
}

// ReadCredentials reads a file of two lines: the access key's id and its secret.
func ReadCredentials(file string) (Credentials, error) {
	bad := fault.New(fault.Invalid, "can't read the bucket's credentials").At(file).WithHint("the file has two lines, the access key's id and its secret, readable for lifeboat's user only")
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 4096 {
		return Credentials{}, bad
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return Credentials{}, bad
	}
	words := strings.Fields(string(b))
	if len(words) != 2 {
		return Credentials{}, bad
	}
	return Credentials{words[0], words[1]}, nil
}

// client is shared: connections stay open between requests. It unpacks nothing: an
// object that is stored packed is hashed as it is stored.
var client = &http.Client{
	Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// errChanged means that a condition did not hold: another object is there, or it
// has another ETag.
var errChanged = errors.New("the object has changed meanwhile")

// bucket speaks S3's REST protocol (API of 2006-03-01) with addresses in path style,
// signed by Signature Version 4.
type bucket struct {
	sec    Section
	secret Credentials
	now    func() time.Time
	signer *v4.Signer
}

func newBucket(sec Section, secret Credentials, now func() time.Time) *bucket {
	return &bucket{sec, secret, now, v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })}
}

// answer is what is kept of a response.
type answer struct {
	status int
	header http.Header
	body   io.ReadCloser
}

// maxXML is the most that is read of an answer that is not an object.
const maxXML = 8 << 20

// do sends one request. The caller closes the body.
func (b *bucket) do(ctx context.Context, method, key, query string, header map[string]string, body []byte) (answer, error) {
	u, err := url.Parse(b.sec.Endpoint)
	if err != nil {
		return answer{}, err
	}
	u.Path, u.RawPath, u.RawQuery = "/"+b.sec.Bucket, "/"+escape(b.sec.Bucket), query
	if key != "" {
		u.Path, u.RawPath = u.Path+"/"+key, u.RawPath+"/"+escape(key)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.URL = u
	for k, v := range header {
		req.Header.Set(k, v)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if err := b.signer.SignHTTP(ctx, aws.Credentials{AccessKeyID: b.secret.ID, SecretAccessKey: b.secret.Secret}, req, hash, "s3", b.sec.Region, b.now()); err != nil {
		return answer{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, fault.New(fault.Unavailable, "the bucket does not answer").At(b.sec.Bucket).WithHint("see that %s can be reached from here", b.sec.Endpoint)
	}
	return answer{resp.StatusCode, resp.Header, resp.Body}, nil
}

// escape writes a key as S3 signs it: everything but A-Z a-z 0-9 - . _ ~ and /.
func escape(key string) string {
	var out strings.Builder
	for _, c := range []byte(key) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// call is do for answers without an object: it judges the status and reads the body.
func (b *bucket) call(ctx context.Context, method, key, query string, header map[string]string, body []byte) (answer, []byte, error) {
	a, err := b.do(ctx, method, key, query, header, body)
	if err != nil {
		return a, nil, err
	}
	defer func() { _ = a.body.Close() }()
	text, err := io.ReadAll(io.LimitReader(a.body, maxXML))
	if err != nil {
		return a, nil, fault.New(fault.Unavailable, "the bucket's answer ends half way").At(b.sec.Bucket).WithHint("try again")
	}
	// A copy that takes long answers 200 and says in its body that it failed.
	if a.status == http.StatusOK && method == http.MethodPut && bytes.Contains(text, []byte("<Error>")) {
		a.status = http.StatusInternalServerError
	}
	return a, text, b.judge(a.status, text)
}

// judge turns a status into an error, with S3's own code for it.
func (b *bucket) judge(status int, text []byte) error {
	var e struct {
		Code string `xml:"Code"`
	}
	_ = xml.Unmarshal(text, &e) // a HEAD has no body
	code := fmt.Sprint(status)
	if e.Code != "" && len(e.Code) < 80 {
		code += " " + e.Code
	}
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusNotFound && (e.Code == "" || e.Code == "NoSuchKey" || e.Code == "NotFound"):
		return fs.ErrNotExist
	case status == http.StatusMovedPermanently || e.Code == "AuthorizationHeaderMalformed":
		return fault.New(fault.Unavailable, "the bucket is in another region (%s)", code).At(b.sec.Bucket).WithHint("correct the lever's region, %s now", b.sec.Region)
	case status == http.StatusPreconditionFailed, status == http.StatusConflict:
		return errChanged
	case status == http.StatusForbidden || status == http.StatusUnauthorized || e.Code == "InvalidAccessKeyId":
		return fault.New(fault.Unavailable, "the bucket refuses lifeboat (%s)", code).At(b.sec.Bucket).WithHint("look at the credentials and their rights")
	}
	return fault.New(fault.Unavailable, "the bucket answers %s", code).At(b.sec.Bucket).WithHint("look at the storage's own state, then try again")
}

// head gives an object's size and ETag.
func (b *bucket) head(ctx context.Context, key string) (size int64, etag string, err error) {
	a, _, err := b.call(ctx, http.MethodHead, key, "", nil, nil)
	if err != nil {
		return 0, "", err
	}
	size, err = strconv.ParseInt(a.header.Get("Content-Length"), 10, 64)
	if err != nil {
		return 0, "", fault.New(fault.Unavailable, "the bucket does not say how large an object is").At(b.sec.Bucket).WithHint("look at what stands between lifeboat and the bucket")
	}
	return size, a.header.Get("ETag"), nil
}

// hash reads an object whole.
func (b *bucket) hash(ctx context.Context, key string) (sum string, size int64, etag string, err error) {
	a, err := b.do(ctx, http.MethodGet, key, "", nil, nil)
	if err != nil {
		return "", 0, "", err
	}
	defer func() { _ = a.body.Close() }()
	if a.status != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(a.body, 64<<10))
		return "", 0, "", b.judge(a.status, text)
	}
	h := sha256.New()
	size, err = io.Copy(h, io.LimitReader(a.body, MaxObject+1))
	if err != nil {
		return "", 0, "", fault.New(fault.Unavailable, "an object could not be read to its end").At(b.sec.Bucket).WithHint("try again")
	}
	return hex.EncodeToString(h.Sum(nil)), size, a.header.Get("ETag"), nil
}

// list gives up to most keys below a prefix, sorted as S3 sorts them. Empty objects
// that end in a slash stay where they are: consoles make them to show a folder.
func (b *bucket) list(ctx context.Context, prefix string, most int) ([]string, error) {
	var keys []string
	next := ""
	for pages := 0; len(keys) < most; pages++ {
		if pages > MaxObjects {
			return nil, fault.New(fault.Unavailable, "the bucket's list does not end").At(b.sec.Bucket).WithHint("look at what lies below %q, or at what stands between lifeboat and the bucket", prefix)
		}
		q := url.Values{"list-type": {"2"}, "prefix": {prefix}, "max-keys": {strconv.Itoa(min(1000, most-len(keys)))}}
		if next != "" {
			q.Set("continuation-token", next)
		}
		_, text, err := b.call(ctx, http.MethodGet, "", strings.ReplaceAll(q.Encode(), "+", "%20"), nil, nil)
		if errors.Is(err, fs.ErrNotExist) {
			err = fault.New(fault.Unavailable, "there is no such bucket").At(b.sec.Bucket).WithHint("correct the bucket's name")
		}
		if err != nil {
			return nil, err
		}
		var page struct {
			Contents []struct {
				Key  string
				Size int64
			}
			Next string `xml:"NextContinuationToken"`
			More bool   `xml:"IsTruncated"`
		}
		if err := xml.Unmarshal(text, &page); err != nil {
			return nil, fault.New(fault.Unavailable, "the bucket's list can't be read").At(b.sec.Bucket).WithHint("look at what stands between lifeboat and the bucket")
		}
		for _, c := range page.Contents {
			if c.Size > 0 || !strings.HasSuffix(c.Key, "/") {
				keys = append(keys, c.Key)
			}
		}
		if next = page.Next; !page.More || next == "" {
			break
		}
	}
	return keys[:min(len(keys), most)], nil
}

// redirect is where a website sends visitors who ask for an object. S3 leaves it out
// of copies, unlike the other headers.
const redirect = "X-Amz-Website-Redirect-Location"

// copy copies an object inside the bucket if it still has the ETag and nothing is
// at the new key. Servers that do not know the second condition for copies ignore
// it; so it is looked for first.
func (b *bucket) copy(ctx context.Context, from, etag, to string) error {
	source, _, err := b.call(ctx, http.MethodHead, from, "", nil, nil)
	if err != nil {
		return err
	}
	if _, _, err := b.head(ctx, to); err == nil { // last, so that least can happen meanwhile
		return errChanged
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	header := map[string]string{"X-Amz-Copy-Source": "/" + escape(b.sec.Bucket+"/"+from), "X-Amz-Copy-Source-If-Match": etag, "If-None-Match": "*"}
	if goes := source.header.Get(redirect); goes != "" {
		header[redirect] = goes
	}
	_, _, err = b.call(ctx, http.MethodPut, to, "", header, nil)
	return err
}

// delete deletes an object that still has the ETag. Servers that do not know the
// condition for deletes say so (501) or ignore it; so it is looked at first.
func (b *bucket) delete(ctx context.Context, key, etag string) error {
	_, now, err := b.head(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case now != etag:
		return errChanged
	}
	a, _, err := b.call(ctx, http.MethodDelete, key, "", map[string]string{"If-Match": etag}, nil)
	if a.status == http.StatusNotImplemented {
		_, _, err = b.call(ctx, http.MethodDelete, key, "", nil, nil)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (b *bucket) put(ctx context.Context, key string, body []byte) error {
	_, _, err := b.call(ctx, http.MethodPut, key, "", map[string]string{"Content-Type": "application/json"}, body)
	return err
}

// get reads a small object.
func (b *bucket) get(ctx context.Context, key string) ([]byte, error) {
	_, text, err := b.call(ctx, http.MethodGet, key, "", nil, nil)
	return text, err
}
