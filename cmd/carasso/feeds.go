package main

import "github.com/carasso/carasso/management/datex"

// feedFlags say how hazards are told to other systems.
type feedFlags struct {
	DatexCountry   string `default:"zz" env:"CARASSO_DATEX_COUNTRY" help:"Country of the publisher in the DATEX II feed (ISO 3166-1, lower case)."`
	DatexPublisher string `default:"CARASSO" env:"CARASSO_DATEX_PUBLISHER" help:"National identifier of the publisher in the DATEX II feed; it begins the ids of situations."`
}

func (f feedFlags) publisher() datex.Publisher {
	return datex.Publisher{Country: f.DatexCountry, Identifier: f.DatexPublisher}
}
