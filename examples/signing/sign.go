// Signs URLs of Darkroom for SIZE_POLICY=signed; docs/signing.md describes the algorithm. Copy the functions that you need.
// Self-test: go run sign.go vectors.json
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
)

var nameAndFormat = regexp.MustCompile(
	`^((?:/image/[^/?]+|/s3/[^?]+/-)/[^/?]+?)(?:/[^/?]+)?\.(jpg|png|webp|avif|gif)(\?.*)?$`)

// SignURL signs a URL in its canonical spelling, without scheme and host.
// The key is the first one of URL_KEYS. The signature expires at a Unix time in seconds; 0: never.
//
//	SignURL("/image/3f2a…/400w/cat.webp", key, time.Now().Unix()+3600)
func SignURL(path, key string, expires int64) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	expiry, before := "", separator
	if expires != 0 {
		expiry, before = fmt.Sprintf("%se=%d", separator, expires), "&"
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(nameAndFormat.ReplaceAllString(path, "${1}/.${2}${3}") + expiry))
	return path + expiry + before + "s=" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ObjectURL is the URL of a picture of an object in a bucket. The key is as in S3, not encoded; the picture such as
// 400w, 400w.webp or 400w/cat.webp; the versionID may be empty.
func ObjectURL(bucket, key, picture, versionID string) string {
	segments := strings.Split(key, "/")
	path := encode(segments[0])
	for i, segment := range segments[1:] {
		separator := "/"
		// Clients resolve the segments "." and ".." of a path, unless the slashes beside them are encoded.
		if isDots(segments[i]) || isDots(segment) {
			separator = "%2F"
		}
		path += separator + encode(segment)
	}
	query := ""
	if versionID != "" {
		query = "?versionId=" + encode(versionID)
	}
	return "/s3/" + bucket + "/" + path + "/-/" + picture + query
}

func isDots(segment string) bool {
	return segment == "." || segment == ".."
}

// RemoteURL is the URL of a picture of a remote image. The address is absolute; the size such as 400w; the format may
// be empty.
func RemoteURL(address, size, format string) string {
	path := "/image?url=" + encode(address) + "&size=" + size
	if format != "" {
		path += "&format=" + format
	}
	return path
}

var unescaped = strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*")

// encode percent-encodes as encodeURIComponent of JavaScript does.
func encode(text string) string {
	return unescaped.Replace(url.QueryEscape(text))
}

type vector struct {
	Name, Key, URL, Signed string
	Expires                int64
	Object                 *struct{ Bucket, Key, Picture, VersionID string }
	Remote                 *struct{ URL, Size, Format string }
}

func main() {
	content, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var vectors []vector
	if err := json.Unmarshal(content, &vectors); err != nil {
		panic(err)
	}
	mismatches := 0
	for _, v := range vectors {
		path := v.URL
		if v.Object != nil {
			path = ObjectURL(v.Object.Bucket, v.Object.Key, v.Object.Picture, v.Object.VersionID)
		} else if v.Remote != nil {
			path = RemoteURL(v.Remote.URL, v.Remote.Size, v.Remote.Format)
		}
		if result := SignURL(path, v.Key, v.Expires); result != v.Signed {
			fmt.Fprintf(os.Stderr, "%s:\n  is        %s\n  should be %s\n", v.Name, result, v.Signed)
			mismatches++
		}
	}
	fmt.Printf("%d of %d vectors match\n", len(vectors)-mismatches, len(vectors))
	if mismatches > 0 {
		os.Exit(1)
	}
}
