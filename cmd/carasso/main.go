// Command carasso is the car-as-a-sensor back end: every service, the simulated fleet and
// the tools in one binary. `carasso --help` lists its subcommands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the whole command line: one field a subcommand, one file a subcommand.
type cli struct {
	Log logFlags `embed:"" prefix:"log-"`

	Up          upCmd          `cmd:"" help:"Run everything in one process: receiver, queue, worker, PostgreSQL, management, portal and a simulated fleet."`
	Receiver    receiverCmd    `cmd:"" help:"Run the receiver on AWS (or LocalStack)."`
	Worker      workerCmd      `cmd:"" help:"Run a worker on AWS (or LocalStack)."`
	Management  managementCmd  `cmd:"" help:"Run the management API and the portal on AWS (or LocalStack)."`
	Jobs        jobsCmd        `cmd:"" help:"Run what is periodic or takes long, on AWS (or LocalStack)."`
	Fleet       fleetGroup     `cmd:"" help:"Drive a simulated fleet against a receiver, or send recorded drives to it."`
	Map         mapCmd         `cmd:"" help:"Work with maps."`
	Release     releaseCmd     `cmd:"" help:"Make, compare and export releases of the map."`
	Token       tokenCmd       `cmd:"" help:"Print a credential that the receiver or the management API accepts."`
	Erase       eraseCmd       `cmd:"" help:"Have a vehicle's data erased by a running deployment, or verify a receipt of that."`
	Backfill    backfillCmd    `cmd:"" help:"Have a running deployment take in an archive that lies in its object store."`
	Migrate     migrateCmd     `cmd:"" help:"Bring the database's schema up to date."`
	Provision   provisionCmd   `cmd:"" help:"Create queue, dead-letter queue, bucket and table, and migrate the database."`
	Eval        evalCmd        `cmd:"" help:"Score what is learned against data with ground truth."`
	Bench       benchCmd       `cmd:"" help:"Measure the embedded pipeline end to end and print a table."`
	Cost        costCmd        `cmd:"" help:"Reckon what a fleet costs on AWS in a month, from counted requests and bytes and a dated price list."`
	Simulate    simulateCmd    `cmd:"" help:"Play autoscaling through on paper."`
	Healthcheck healthcheckCmd `cmd:"" help:"Exit 0 if a service answers /readyz, 1 if not."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

func main() {
	os.Exit(run(os.Args[1:]))
}

// run parses, wires and runs one subcommand. Interrupts cancel its context; a second one
// ends the process at once.
func run(args []string) int {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("carasso"),
		kong.Description("Car as a sensor: from floating car data to a live map."),
		kong.Vars(simulateVars()),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "carasso:", err)
		return 2
	}
	kctx, err := parser.Parse(args)
	if err != nil {
		parser.FatalIfErrorf(err)
		return 2
	}

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // restores the default handling: the second interrupt kills

	kctx.BindTo(ctx, (*context.Context)(nil))
	if err := kctx.Run(&c.Log); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "carasso:", err)
		return 1
	}
	return 0
}
