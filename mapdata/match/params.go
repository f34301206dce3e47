package match

// The parameters. Costs are negative logarithms of probabilities (nats): 3 make something
// twenty times less likely.
const (
	// Positions. Their errors are taken as distributed after Student, whose tails are
	// heavy: satellite positions have more outliers than a normal distribution.
	defaultSigmaM = 8.0 // of a position whose accuracy is not given
	minSigmaM     = 3.0 // lane offsets and the map's own errors remain, however good the receiver
	maxSigmaM     = 20.0
	tailFreedom   = 4.0 // degrees of freedom
	// Errors are correlated, so positions soon after one another count for less: the weight
	// of a distance grows with the time since the position before, up to 1.
	weightAtOnce = 0.4
	weightPerS   = 0.06

	// How far from a position a road is a candidate.
	reachM        = 25.0  // at least, and
	reachSigmas   = 4.0   // this if it is more,
	maxReachM     = 60.0  // but no more than this;
	blindReachM   = 100.0 // this where the accuracy is not given (road.MarginM: what partitions know),
	nearReachM    = 40.0  // but no farther than this and
	nearReach     = 2.0   // this many times the distance of the nearest road
	maxCandidates = 12    // directed edges for a position, the likeliest ones
	apartM        = 25.0  // two places on one edge are two candidates only if the way between is longer
	beam          = 20.0  // what costs more than the best by this is given up

	// A position is decoded only if it is this many sigmas (bounded in metres) from the
	// last one that was: errors are correlated, so what a standing car reports says the
	// same thing again and again (Newson & Krumm drop what is within 2 sigmas).
	stepSigmas = 2.0
	minStepM   = 6.0
	maxStepM   = 10.0
	lastStepM  = 2.0 // for the last position of a batch, which has none after it

	// Direction of travel.
	headingCost  = 8.0 // times 1-cos of the difference: 1/sigma², sigma 20°
	standingCost = 1.5 // the same for the heading that a standing car reports: better than a guess, no more
	movementCost = 3.0 // the most for the direction between positions, where no heading is reported
	minSpeedMPS  = 2.0 // below it a vehicle counts as standing
	minMoveM     = 8.0 // below it the direction between two positions means nothing
	maxMoveMS    = 10_000

	// Speed: a car at more than 1.5 times the speed usual for a road's class is rarely on it.
	fastFactor  = 1.5
	fastSlackMS = 3.0 // m/s
	fastScaleMS = 3.0 // m/s a nat
	maxFastCost = 4.0

	// A car stands before junctions rather than just behind them.
	standBehindCost = 1.5  // right behind one, falling to none
	standBehindM    = 20.0 // at this distance

	// Movement: exponential in the difference between the way on the road and the straight
	// one (or the one that the speeds say); the scale grows with both, since roads bend
	// more over longer ways, and drivers choose more freely over longer times.
	betaM            = 3.0
	betaPerM         = 0.08
	betaPerS         = 0.3
	maxMoveCost      = 20.0    // beyond it a way is implausible
	maxDetourM       = 2000    // and when it is longer than the straight one by this
	uTurnCost        = 8.0     // turning round on a road or at a junction
	deadEndCost      = 3.0     // turning round where there is no other way
	standingTurnCost = 20.0    // more for a vehicle that says that it stands
	forbiddenCost    = 9.0     // a turn that a restriction forbids: rarer than turning round, but it happens
	backSigmas       = 3.0     // going back on an edge by less is the positions' error
	standingBackM    = 30.0    // or by this, of a vehicle that says that it stands
	backCost         = 0.5     // for it
	maxSpeedMPS      = 80.0    // faster is a jump, not a drive
	jumpSlackM       = 30.0    // what positions may jump beside
	maxOutliers      = 3       // positions in a row that may be left out to save a chain
	outlierMS        = 180_000 // within this time
	blindBridgeM     = 200.0
	bridgeM          = 60.0 // off-road positions between two others are this near to the way between, or it is a break

	// Before a break is declared, a window is decoded with less trust in positions that follow each other soon: a drive
	// along the wrong one of two parallel roads ends where only the right one goes on.
	looseAtOnce = 0.2
	looseBeam   = 60.0

	// Driving against a one-way road.
	wrongEntryCost = 10.0
	wrongFactor    = 3.0 // of the length of such roads passed between two positions
	alignedCos     = 0.7 // about 45°: a direction fits a road
	fitSigmas      = 4.0 // no road that fits within this
	fitSlackM      = 5.0 // and this
	passedSigmas   = 2.0 // whose end was not passed by more than this
	wrongSigmas    = 2.5 // and a one-way against the direction within this
	aroundSuspect  = 2   // so many positions before and after such a one may be against it too
	minWrongRun    = 3   // positions
	minWrongM      = 30.0

	// Bounds of work and memory.
	windowColumns = 256     // positions decoded at once
	windowTail    = 32      // of those the last are decoded again with the next ones
	maxLabels     = 1 << 14 // nodes that one search reaches
	windowTiles   = 32      // partitions after which a window ends
	maxTiles      = 64      // partitions held at once

	// Work is bounded for a batch as a whole too, in labels (about 0.1 µs each), or vehicles
	// that jump between roads without a way between could flood the map from every candidate
	// of every position. Real drives stay far below: positions every 30 s in towns need up to
	// 540 labels each, every 60 s 960, every 3 min 3,100, in searches of 1,250 at most; the
	// base is for the last, which are few, and for the odd flood. When it is spent, a search
	// reaches no more than spentLabels, which is enough for positions every few seconds;
	// nothing is left out to save a chain, and nothing decoded again to find a better way.
	batchLabels  = 50_000 // of a batch, and
	sampleLabels = 1_000  // more for each of its samples
	spentLabels  = 128
)

// budget is the number of labels that matching a batch of n samples may take before its
// searches are cut short.
func budget(n int) int { return batchLabels + sampleLabels*n }
