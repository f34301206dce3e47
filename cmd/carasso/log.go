package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/carasso/carasso/internal/service"
)

// logFlags say how the process logs; every subcommand has them.
type logFlags struct {
	Format string `default:"text" enum:"text,json" env:"CARASSO_LOG_FORMAT" help:"Form of the log on standard error: ${enum}."`
	Level  string `default:"info" enum:"debug,info,warn,error" env:"CARASSO_LOG_LEVEL" help:"Least level that is logged: ${enum}."`
}

func (l *logFlags) logger() (*slog.Logger, error) {
	return service.NewLogger(os.Stderr, l.Format, l.Level)
}

// versionCmd prints the version.
type versionCmd struct{}

// Run implements the subcommand.
func (versionCmd) Run() error {
	_, err := fmt.Fprintln(os.Stdout, "carasso", service.Version())
	return err
}
