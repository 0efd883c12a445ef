package store

// Changed is what a write makes of a key at a revision; old is the key before it,
// the zero KV if it was absent. Values are copied and never nil. A deletion
// carries key and revision only.
func Changed(w Write, old KV, at Revision) Change {
	if w.Delete {
		return Change{KV: KV{Key: w.Key, Modified: at}, Deleted: true}
	}
	created := old.Created
	if old.Modified == 0 {
		created = at
	}
	return Change{KV: KV{Key: w.Key, Value: append([]byte{}, w.Value...), Created: created, Modified: at}}
}
