package main

import (
	"context"
	"errors"
)

func (b *bench) bill(context.Context) (string, error) { return "", errors.New("to do") }
