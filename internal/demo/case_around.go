package demo

// Cases in which something that both places share is broken: the books, the disk, the
// stock service.

var correctRow = cure{
	change: "Correct the price of product 9 and put it back with what hung on it.",
	check:  "home", within: "8s", wayBack: "Take product 9 away again: lifeboat data plan products --key 9.", takes: "a second",
}

func without(c cure, wayBack string) cure {
	c.wayBack = wayBack
	return c
}

// badRow is the row of the shop's books that breaks what lists it.
var badRow = row{
	database: "books", table: "products", key: "9", page: "/",
	why:    "Product 9 breaks every page that lists it",
	column: "cents", value: "1950",
	repairs: "The price was typed with a letter: 19,5O",
}

var poisonRowCase = Case{
	Name: "poison-row", phases: straight,
	Says: "One row in the books breaks every page that lists it, at the backup too. It is found, taken away, corrected and put back.",
	steps: join(story(
		step{"break", breaks("poison-row", unwell)},
		step{"press", presses(ada, toStandby)},
		step{"standby", standbyMet("")},
		step{"tell", tells(ada, "The shop shows an error page. We know, and nothing is lost. We will say more in a minute.", "1m")},
		step{"look", looksAt(bob, "/products/1", 200)},
		step{"idea 1", considers(bob, idea{
			says: "The release is bad.", predicts: "Every page fails, that of a single product too.",
			clue: clue{kind: "note", line: "/products/1"}, saw: "The page of one product is well; only lists fail.",
		})},
		step{"search", findsRow(bob, badRow)},
		step{"idea 2", considers(bob, idea{
			says: "A product in the books can't be read, so every page that lists it fails.", predicts: "The log names the row.",
			clue: clue{kind: "log", from: "shop-main.log", line: `products, id 9 .*is not a whole number of cents`}, saw: "It is always the same one, at both places.", held: true,
		})},
		step{"plan", plansRow(bob, badRow)},
		step{"away", takesRowAway(bob, badRow)},
		step{"well", rowIsMissed(bob, badRow)},
		step{"suspect", suspects(bob, "supplier's list", "It brought the product.")},
		step{"cause", confirms(ada, "The import takes any text for a price.", "One product that can't be read takes the whole list with it.")},
		step{"no undo", refused("R8", proposes(bob, without(correctRow, "")))},
		step{"propose", proposes(bob, correctRow)},
		step{"approve", approves(ada)},
		step{"begin", begins(bob)},
		step{"repair", putsRowBack(bob, badRow)},
		step{"fix", doneByHand(bob)},
	), closing("", lessons{
		surprise:  "The books take a letter where a number should be.",
		help:      "The row could leave in one press, and nothing else was touched.",
		hard:      "The backup was no help: it reads the same books.",
		different: "What comes from outside should be looked at before it is kept.",
		finding:   "Nobody is told when the import brings something new.",
		owed:      owed{"Refuse a product whose price is no number when it is read in", "prevent", "A list with such a product is refused in a test"},
	})),
}

// slowStock is the line of the shop's metrics that tells of a slow stock service. It
// is there once such an answer has come.
const slowStock = `^shop_stock_seconds ([2-9]|\d\d)`

var slowDependencyCase = Case{
	Name: "slow-dependency", phases: straight,
	Says: "The stock service takes seconds, and every page waits for it. Closing the checkout is enough: visitors stay.",
	steps: join(story(
		step{"break", breaks("slow-dependency", unwell)},
		step{"press", closesCheckout(ada)},
		step{"lead", leads(ada)},
		step{"relief", mainRecovers},
		step{"read", readsMetrics(bob, slowStock)},
		step{"look", looksAgain(bob)},
		step{"idea 1", considers(bob, idea{
			says: "Too many visitors come since the newsletter.", predicts: "Closing the checkout changes little: pages stay slow.",
			clue: clue{kind: "http", from: "main", line: "GET / answered 200"}, saw: "Pages are quick again, with as many visitors as before.",
		})},
		step{"idea 2", considers(bob, idea{
			says: "The stock service is slow, and every worker of the shop waits for it.", predicts: "The stock service took seconds to answer last.",
			clue: clue{kind: "metrics", from: "main", line: slowStock}, saw: "It took seconds, where it takes milliseconds in calm.", held: true,
		})},
		step{"suspect", suspects(bob, "stock service was moved", "The warehouse wrote a mail about it.")},
		step{"cause", confirms(ada, "The shop waits five seconds for the stock service, and with all its workers.")},
		step{"propose", proposes(bob, cure{
			change: "Put the stock service back on its old machine.", action: "speed-up",
			to: "the stock service answers in less than a second when it is asked directly", within: "20s", wayBack: "The warehouse moves it again.", takes: "a minute",
		})},
		step{"approve", approves(ada)},
		step{"fix", begins(bob)},
		step{"hands off", refused("R10", goesBackNow(ada))},
		step{"measure", asksStock(bob)},
	), closing("", lessons{
		surprise:  "We did not know that the home page depends on the stock service.",
		help:      "Closing one feature gave visitors the whole shop back, but for buying.",
		hard:      "The move was announced in a mail that nobody of us gets.",
		different: "A page that needs no stock should never wait for it.",
		finding:   "The warehouse does not know whom to tell before it moves something.",
		owed:      owed{"Give up on the stock service after half a second, with a few workers at most", "contain", "With a slow stock service the home page stays quick in a drill"},
	})),
}

var fullDiskCase = Case{
	Name: "full-disk", phases: straight,
	Says: "The disk is full and no order is taken. One line decides by itself, so one possible cause is enough.",
	steps: join(story(
		step{"break", breaks("full-disk", calm)},
		step{"press", closesCheckout(ada)},
		step{"idea", considers(bob, idea{
			says: "The disk is full, so no order can be written.", predicts: "The shop's metrics say that no room is left.",
			clue: clue{kind: "metrics", from: "main", line: "^The disk is full"}, saw: "Not one byte is free.", held: true,
		})},
		step{"suspect", suspects(bob, "quarterly export", "It writes where the books are.")},
		step{"cause", confirms(ada, "The export goes to the same disk as the books.", "Nobody is told when room gets short.")},
		step{"propose", proposes(bob, cure{
			change: "Delete the export that fills the disk.", action: "free-disk",
			check: "books", within: "8s", wayBack: "Make the export again, somewhere else.", takes: "a second",
		})},
		step{"approve", approves(ada)},
		step{"fix", works(bob)},
	), closing("", lessons{
		surprise:  "The export had always fitted before.",
		help:      "Visitors could look around all the time, and were told that nothing can be bought.",
		hard:      "Nothing was hard: the line about the disk was there before we asked for it.",
		different: "What is not the books should not be on their disk.",
		finding:   "The export is started by a timetable that nobody looks at.",
		owed:      owed{"Write exports to a disk of their own", "prevent", "The export of a whole year leaves the books' disk as it was"},
	})),
}
