package web

import "lifeboat/internal/api"

// Zones is where records of zones are edited; the API goes by the same.
type Zones = api.Zones
