package zone

import (
	"hash/maphash"
	"runtime"
)

// Names is a set of names in wire form, lower case, each with a number from 0 on.
// It is made for millions: the names lie one after the other in one piece of memory
// that the collector need not look at, and one look at an index finds a name.
type Names struct {
	arena []byte
	ends  []uint32 // by number: where the name ends in arena, and the next one begins
	slots []uint64 // open addressing: a name's hash, and its number + 1 in the lower half; 0 is free
	depth int      // labels of the deepest name
}

// seed makes the hashes others in each process, so that nobody can prepare names
// that meet in one slot.
var seed = maphash.MakeSeed()

// maxArena is as much as a set of names, or of record data, can hold, in octets.
const maxArena = 1<<32 - 1<<16

// newNames makes room for a number of names, and octets of them.
func newNames(names, octets int) *Names {
	n := &Names{arena: make([]byte, 0, octets), ends: make([]uint32, 0, names)}
	size := 8
	for size < names/3*4 {
		size *= 2
	}
	n.slots = make([]uint64, size)
	return n
}

// Len is how many names there are.
func (n *Names) Len() int { return len(n.ends) }

// Depth is the number of labels of the name that has most, the root not counted.
func (n *Names) Depth() int { return n.depth }

// Name is a name by its number. It is not to be changed.
func (n *Names) Name(number int32) []byte {
	start := uint32(0)
	if number > 0 {
		start = n.ends[number-1]
	}
	end := n.ends[number]
	return n.arena[start:end:end]
}

// Find gives a name's number. The name MUST be in lower case.
func (n *Names) Find(name []byte) (number int32, ok bool) {
	number, _, _ = n.look(name)
	return number, number >= 0
}

// look gives the number of a name, or -1 with the slot and the hash that it would
// have.
func (n *Names) look(name []byte) (number int32, slot, hash uint32) {
	hash = uint32(maphash.Bytes(seed, name))
	mask := uint32(len(n.slots) - 1)
	for slot = hash & mask; ; slot = (slot + 1) & mask {
		s := n.slots[slot]
		if s == 0 {
			return -1, slot, hash
		}
		if uint32(s>>32) == hash {
			if number = int32(uint32(s)) - 1; string(n.Name(number)) == string(name) {
				return number, slot, hash
			}
		}
	}
}

// add gives a name's number, a new one where it has none.
func (n *Names) add(name []byte) int32 {
	number, slot, hash := n.look(name)
	if number >= 0 {
		return number
	}
	if len(n.ends) > len(n.slots)/4*3 {
		n.grow()
		_, slot, _ = n.look(name)
	}
	n.arena = append(n.arena, name...)
	n.ends = append(n.ends, uint32(len(n.arena)))
	n.slots[slot] = uint64(hash)<<32 | uint64(len(n.ends))
	labels := 0
	for i := 0; name[i] != 0; i += 1 + int(name[i]) {
		labels++
	}
	n.depth = max(n.depth, labels)
	return int32(len(n.ends) - 1)
}

func (n *Names) grow() {
	before := n.slots
	n.slots = make([]uint64, 2*len(before))
	mask := uint32(len(n.slots) - 1)
	for _, s := range before {
		if s == 0 {
			continue
		}
		slot := uint32(s>>32) & mask
		for n.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		n.slots[slot] = s
	}
}

// addAbove adds the names between each name and the apex: a name exists where one
// below it does (RFC 4592 section 2.2.2).
func (n *Names) addAbove(apex string) {
	var last []byte // the parent that was seen to last: neighbours often share it
	for number := int32(0); int(number) < len(n.ends); number++ {
		if number%YieldEach == 0 {
			runtime.Gosched()
		}
		name := n.Name(number)
		if len(name) <= len(apex) {
			continue
		}
		up := name[1+int(name[0]):]
		if string(up) == string(last) {
			continue
		}
		last = n.Name(n.add(up)) // its own parent has its turn later
	}
}

// trim gives back memory that was set aside for names that did not come.
func (n *Names) trim() {
	if cap(n.arena) > len(n.arena)+len(n.arena)/4 {
		n.arena = append(make([]byte, 0, len(n.arena)), n.arena...)
	}
	if cap(n.ends) > len(n.ends)+len(n.ends)/4 {
		n.ends = append(make([]uint32, 0, len(n.ends)), n.ends...)
	}
}
