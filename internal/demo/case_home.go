package demo

// Cases in which main alone is broken, and the backup shows that the books are well.

var startAgain = cure{
	change: "Start the shop's process again.", action: "restart",
	check: "home", within: "8s", wayBack: "Nothing to take back: a start changes neither the release nor the books.", takes: "a second",
}

var killCase = Case{
	Name: "kill", phases: straight,
	Says: "The shop's process dies. One press, two possible causes, one fix that is measured, and home again.",
	steps: join(story(
		step{"break", breaks("kill", unwell)},
		step{"press", presses(ada, toStandby)},
		step{"standby", standbyMet("")},
		step{"feature", closesCheckout(bob)},
		step{"lead", leads(ada)},
		step{"tell", tells(ada, "The shop is closed for a moment. Your baskets are kept. We will say more in a minute.", "1m")},
		step{"told", standbyMet("Your baskets are kept.")},
		step{"too early", refused("R6", proposes(bob, startAgain))},
		step{"idea 1", considers(bob, idea{
			says: "The machine, or the network before it, is gone.", predicts: "A connection to main is not answered at all.",
			clue: clue{kind: "http", from: "main", line: `GET / got no answer.*refused`}, saw: "The machine itself refuses the connection, at once.",
		})},
		step{"idea 2", considers(bob, idea{
			says: "The shop's process has ended, and nothing starts it again.", predicts: "The machine answers, and nobody listens at the shop's port.",
			clue: clue{kind: "http", from: "main", line: `GET / got no answer.*refused`}, saw: "The connection is refused.", held: true,
		})},
		step{"cause", confirms(ada, "Nothing watches over the process.", "A process that is killed leaves no line in the log.")},
		step{"propose", proposes(bob, startAgain)},
		step{"not alone", refused("R9", begins(bob))},
		step{"approve", approves(ada)},
		step{"fix", works(bob)},
		step{"closed", checkoutStaysClosed},
	), closing("", lessons{
		surprise:  "We thought that the machine starts the shop again by itself. It does so after a reboot only.",
		help:      "The lever was rehearsed, so nobody had to think about it.",
		hard:      "There was no line in the log to begin with.",
		different: "A process that ends is started again, and somebody is told.",
		finding:   "Nobody had ever ended the process on purpose to see what happens.",
		owed:      owed{"Let the machine start the shop again whenever it ends", "contain", "A killed shop answers again within ten seconds in a drill"},
	})),
}

var hangCase = Case{
	Name: "hang", phases: straight,
	Says: "The shop takes connections and never answers. Nobody approves their own fix.",
	steps: join(story(
		step{"break", breaks("hang", unwell)},
		step{"press", presses(eve, toStandby)},
		step{"standby", standbyMet("")},
		step{"not hers", denied(proposes(eve, startAgain))},
		step{"listen", listensTo(bob)},
		step{"idea 1", considers(bob, idea{
			says: "The network before main is cut.", predicts: "Nobody can connect to main.",
			clue: clue{kind: "note", line: "is connected"}, saw: "The connection is made at once.",
		})},
		step{"idea 2", considers(bob, idea{
			says: "The process stands still: it takes connections and nobody answers them.", predicts: "The connection is made, and no first byte comes.",
			clue: clue{kind: "note", line: "sends no byte"}, saw: "Connected at once, and then silence.", held: true,
		})},
		step{"cause", confirms(ada, "The process is only looked at by whether it runs.")},
		step{"propose", proposes(bob, startAgain)},
		step{"not alone", refused("R9", approves(bob))},
		step{"approve", approves(ada)},
		step{"fix", works(bob)},
	), closing("", lessons{
		surprise:  "The machine said that the process was well, because it was there.",
		help:      "Eve pressed before anybody of us was awake.",
		hard:      "A process that says nothing also logs nothing.",
		different: "Whoever looks whether it runs should ask it for a page.",
		finding:   "The night shift could press, and had been told so: that saved minutes.",
		owed:      owed{"Ask the shop for a page before the machine calls it well", "detect", "A shop that hangs is restarted by the machine in a drill"},
	})),
}

var putBack412 = cure{
	change: "Put release 412 back at main.", action: "roll-back",
	check: "home", within: "8s", wayBack: "Deploy 413 again.", takes: "a second", risk: "Whoever filled a basket with 413 may find it empty.",
}

var badReleaseCase = Case{
	Name: "bad-release", phases: straight,
	Says: "A release breaks every page. The change is suspected at once, and still a second possible cause is looked at.",
	steps: join(story(
		step{"break", breaks("bad-release", unwell)},
		step{"press", presses(ada, toStandby)},
		step{"standby", standbyMet("")},
		step{"lead", leads(ada)},
		step{"suspect", suspects(bob, "Release 413", "It came just before it began.")},
		step{"idea 1", considers(bob, idea{
			says: "Release 413 breaks every page.", predicts: "The errors in main's log come from release 413.",
			clue: clue{kind: "log", from: "shop-main.log", line: `release=413 cause="panic: [^\\]*`}, saw: "Each failing request has the release beside it.", held: true,
		})},
		step{"cause", confirms(ada, "The release was put out without asking a page of it first.")},
		step{"only one", refused("R7", proposes(bob, putBack412))},
		step{"idea 2", considers(bob, idea{
			says: "The books can't be read.", predicts: "The backup reads the same books, so it fails too.",
			clue: clue{kind: "http", from: "backup", line: "GET / answered 200"}, saw: "The backup shows every product.",
		})},
		step{"propose", proposes(bob, putBack412)},
		step{"approve", approves(ada)},
		step{"fix", works(bob)},
	), closing("", lessons{
		surprise:  "All tests had passed: none of them started the shop without its file of discounts.",
		help:      "The backup still ran the release before.",
		hard:      "Nothing was hard this time. The stack was in the log.",
		different: "A release should answer a page before visitors are sent to it.",
		finding:   "Releases go to all of main at once, at any hour.",
		owed:      owed{"Ask a new release for the home page before it replaces the old one", "prevent", "A release that fails on every page is refused by the pipeline"},
	})),
}
