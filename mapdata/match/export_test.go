package match

// Budget is the number of labels after which the searches for n samples are cut short.
func Budget(n int) int { return budget(n) }

// Labels is the number of labels that the last Match, of n samples, took.
func (m *Matcher) Labels(n int) int { return budget(n) - m.search.left }
