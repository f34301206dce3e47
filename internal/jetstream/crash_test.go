package jetstream_test

const childDir = "JETSTREAM_TEST_CHILD_DIR"

func publishUntilKilled() {}
