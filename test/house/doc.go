// Package house holds the few rules about the whole tree that are worth a test:
// who may import whom, what must not be in the code, the texts and go.mod.
//
// It is not a style guide: sizes and taste are not tested. It has no code but
// tests; each failure says the rule's reason, so that whoever meets one can judge
// whether the code or the rule is to change.
//
// Concurrency: the tests only read the tree.
package house
