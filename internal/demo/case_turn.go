package demo

// Cases that do not go straight: the first fix does nothing, the return fails, it goes
// away by itself, it was nothing.

var noEffectCase = Case{
	Name: "no-effect", phases: "fail_over diagnose fix diagnose fix " + ending,
	Says: "A restart does nothing for a bad release. It is measured, taken back, and the search goes on.",
	steps: join(story(
		step{"break", breaks("bad-release", unwell)},
		step{"press", presses(ada, toStandby)},
		step{"standby", standbyMet("")},
		step{"idea 1", considers(bob, idea{
			says: "The books can't be read.", predicts: "The backup reads the same books, so it fails too.",
			clue: clue{kind: "http", from: "backup", line: "GET / answered 200"}, saw: "The backup shows every product.",
		})},
		step{"idea 2", considers(bob, idea{
			says: "The process at main has got into a bad state.", predicts: "Only main fails; the other process is well.",
			clue: clue{kind: "http", from: "main", line: "GET / answered 500"}, saw: "Only main fails.", held: true,
		})},
		step{"cause", confirms(ada)},
		step{"propose 1", proposes(bob, cure{
			change: "Start the shop's process anew.", action: "restart",
			check: "home", within: "1500ms", wayBack: "Nothing to take back: a start changes neither the release nor the books.", takes: "a second",
		})},
		step{"approve 1", approves(ada)},
		step{"fix 1", doesNothing(bob)},
		step{"one a time", refused("R10", proposes(bob, putBack412))},
		step{"take back", takesBackByHand(bob)},
		step{"not that", rulesOut(bob, "bad state", "It was started anew, and nothing changed.")},
		step{"suspect", suspects(bob, "Release 413", "It came just before it began.")},
		step{"idea 3", considers(ada, idea{
			says: "Release 413 breaks every page.", predicts: "The errors in main's log come from release 413.",
			clue: clue{kind: "log", from: "shop-main.log", line: `release=413 cause="panic: [^\\]*`}, saw: "Each failing request has the release beside it.", held: true,
		})},
		step{"cause 2", confirms(ada, "The change list was not looked at first.")},
		step{"propose 2", afterARest("R11", proposes(bob, putBack412))},
		step{"approve 2", approves(ada)},
		step{"fix 2", works(bob)},
	), closing("", lessons{
		surprise:  "A restart has always helped so far.",
		help:      "The first fix said beforehand what it would do, so everybody saw that it had not.",
		hard:      "We wanted it to be something simple.",
		different: "The list of changes is read before anything is touched.",
		finding:   "We restarted out of habit, with the answer in the list of changes.",
		owed:      owed{"Ask a new release for the home page before it replaces the old one", "prevent", "A release that fails on every page is refused by the pipeline"},
	})),
}

var stepBackCase = Case{
	Name: "step-back", phases: `fail_over diagnose fix fail_back (watch fail_over )?diagnose fix ` + ending,
	Says: "The next release looks well, until visitors are back. They are safe again at once; the second way back works.",
	steps: join(story(
		step{"break", breaks("bad-release", unwell)},
		step{"press", presses(ada, toStandby)},
		step{"standby", standbyMet("")},
		step{"lead", leads(ada)},
		step{"suspect", suspects(bob, "Release 413", "It came just before it began.")},
		step{"idea 1", considers(bob, idea{
			says: "The books can't be read.", predicts: "The backup reads the same books, so it fails too.",
			clue: clue{kind: "http", from: "backup", line: "GET / answered 200"}, saw: "The backup shows every product.",
		})},
		step{"idea 2", considers(bob, idea{
			says: "Release 413 breaks every page.", predicts: "The errors in main's log come from release 413.",
			clue: clue{kind: "log", from: "shop-main.log", line: `release=413 cause="panic: [^\\]*`}, saw: "Each failing request has the release beside it.", held: true,
		})},
		step{"cause", confirms(ada)},
		step{"propose 1", proposes(bob, cure{
			change: "Put release 415 in: it is said to be mended.", action: "deploy-415",
			check: "home", within: "8s", wayBack: "Deploy 413 again.", takes: "a second",
		})},
		step{"approve 1", approves(ada)},
		step{"fix 1", works(bob)},
		step{"return 1", goesBack(ada, "")},
		step{"trouble", fallsIllAgain},
		step{"safe again", stepsBack(ada)},
		step{"look again", looksAgain(bob)},
		step{"take back", takesBack(bob)},
		step{"idea 3", considers(bob, idea{
			says: "Release 415 loses workers until none is left.", predicts: "With 415 all workers are in use although nobody visits main.",
			clue: clue{kind: "metrics", from: "main", line: `^shop_pool_in_use 8`}, saw: "Eight of eight, with no visitor there.", held: true,
		})},
		step{"cause 2", confirms(ada, "A release that answers once was taken for a release that is well.", "Both releases came from the same branch.")},
		step{"propose 2", afterARest("R11", proposes(bob, putBack412))},
		step{"approve 2", approves(ada)},
		step{"fix 2", works(bob)},
	), closing("", lessons{
		surprise:  "Three good answers in a row looked like the end of it.",
		help:      "Going back to safety took one press and no question.",
		hard:      "It came back just when everybody had begun to breathe.",
		different: "After a fix the site should be watched under load before all visitors return.",
		finding:   "We went forward to a new release in a crisis, where going back was possible.",
		owed:      owed{"Roll back first; new releases wait until it is over", "process", "The first line of the on-call page says so"},
	})),
}

var goesAwayCase = Case{
	Name: "goes-away", phases: "fail_over diagnose " + ending,
	Says: "It goes away before anybody knows why. The way back asks twice as long, and the cause stays open.",
	steps: join(story(
		step{"break", breaks("flaky?for=3s", unwell)},
		step{"press", presses(ada, toStandby)},
		step{"standby", standbyMet("")},
		step{"idea", parks(bob, idea{
			says: "The job that counts visits has locked the books.", predicts: "The books can't be written while it runs.",
			clue: clue{change: "counts visits"}, saw: "It has ended. Nothing shows that it was the job.",
		})},
		step{"well again", homeIsUp},
		step{"no words", refused("R22", goesBackNow(ada))},
	), closing("The books can be written again. Nobody knows why they could not.", lessons{
		surprise:  "It was over before we had found anything.",
		help:      "Visitors were safe within seconds, so there was time to look.",
		hard:      "Nothing is left to look at once a lock is gone.",
		different: "Whoever locks the books should leave a line in the log.",
		finding:   "We can't see from outside who holds the books.",
		owed:      owed{"Log who holds the books for longer than a second", "detect", "A held lock has a line with a name in the log, in a test"},
	})),
}

var falseAlarmCase = Case{
	Name: "false-alarm", phases: "fail_over diagnose fail_over cancelled",
	Says: "Somebody declares, and nothing is wrong. What was pulled is put back, and a short note is all that is left.",
	steps: join(story(
		step{"declare", declares(eve, "Nothing loads on my phone", "nothing-loads")},
		step{"press", presses(eve, toStandby)},
		step{"standby", standbyMet("")},
		step{"look", shows(bob, clue{kind: "http", from: "main", line: "GET / answered 200"})},
		step{"not hers", denied(cancels(eve, "It was my phone."))},
		step{"not yet", refused("R5", cancels(ada, "It was Eve's phone: its own network was away."))},
		step{"put back", putsBack(ada, toStandby)},
		step{"home", everybodyHome},
		step{"cancel", cancels(ada, "It was Eve's phone: its own network was away.")},
	), writing(lessons{
		surprise:  "A phone without a network looks like a shop that is down.",
		help:      "Putting it back was free, and took a moment.",
		hard:      "Nothing was.",
		different: "Nothing: to press too early costs little.",
		finding:   "Eve pressed without asking first, as she should.",
		owed:      owed{"Show the page of checks to whoever sits at the phones", "detect", "Everybody at the phones has opened it once"},
	}), []step{{"check", checked}}),
}
