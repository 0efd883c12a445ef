package postmortem

import (
	"bytes"
	"encoding/json"
)

// Schema is the version of the JSON form. A newer one adds fields and changes none.
const Schema = 1

// JSON is the document as data.
func JSON(d Document) ([]byte, error) {
	d.Schema = Schema
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return out.Bytes(), err
}
