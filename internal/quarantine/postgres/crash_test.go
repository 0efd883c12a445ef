package postgres_test

const childDSN = "LIFEBOAT_TEST_QUARANTINE_DSN"

func child() int { return 0 }
