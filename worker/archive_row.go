package worker

// ArchiveRow is one row of the raw archive, raw/….parquet, as a reader sees it: a batch with its
// samples and events. Values are fixed-point integers as on the wire; absent ones are
// null. In SQL:
//
//	SELECT vehicle, unnest(samples, recursive := true) FROM 'raw/**/*.parquet'  -- DuckDB
//	SELECT vehicle, s.* FROM raw CROSS JOIN UNNEST(samples) AS t (s)            -- Athena
//
// Only objects that the manifest names count. How columns are encoded is said in
// archiveColumns.
type ArchiveRow struct {
	Claim        [16]byte        `parquet:"claim,uuid"`
	Vehicle      uint64          `parquet:"vehicle"` // the day's pseudonym
	Model        string          `parquet:"model"`   // "" when not told
	Software     string          `parquet:"software"`
	TripKey      uint64          `parquet:"trip_key"`       // 0: no trip
	TripElapsedS uint32          `parquet:"trip_elapsed_s"` // since the trip's start
	TripFinal    bool            `parquet:"trip_final"`     // the trip's last batch
	LeadIn       int32           `parquet:"lead_in"`        // so many leading samples are counted with another batch
	Samples      []ArchiveSample `parquet:"samples,list"`   // in time order
	Events       []ArchiveEvent  `parquet:"events,list"`
}

// ArchiveSample is one sample of an ArchiveRow.
type ArchiveSample struct {
	T             int64  `parquet:"t,timestamp(millisecond)"`
	LatE7         int32  `parquet:"lat_e7"`
	LonE7         int32  `parquet:"lon_e7"`
	Edge          *int64 `parquet:"edge,optional"` // directed segment in the manifest's map version
	AltitudeDM    *int32 `parquet:"altitude_dm,optional"`
	SpeedCMPS     *int32 `parquet:"speed_cmps,optional"`
	HeadingCDeg   *int32 `parquet:"heading_cdeg,optional"`
	AccuracyCM    *int32 `parquet:"accuracy_cm,optional"`
	ABSActive     *bool  `parquet:"abs_active,optional"`
	ESCActive     *bool  `parquet:"esc_active,optional"`
	TCSActive     *bool  `parquet:"tcs_active,optional"`
	Wiper         *int32 `parquet:"wiper,optional"` // telemetry.Wiper
	RainPercent   *int32 `parquet:"rain_pct,optional"`
	FogLightRear  *bool  `parquet:"fog_light_rear,optional"`
	HazardLight   *bool  `parquet:"hazard_light,optional"`
	BrakeCMPS2    *int32 `parquet:"brake_cmps2,optional"`
	OutsideTempDC *int32 `parquet:"outside_temp_dc,optional"`
	FrictionPct   *int32 `parquet:"friction_pct,optional"`
}

// ArchiveEvent is one event of an ArchiveRow.
type ArchiveEvent struct {
	T                  int64 `parquet:"t,timestamp(millisecond)"`
	Type               int32 `parquet:"type"` // telemetry.EventType
	Sign               int32 `parquet:"sign"` // telemetry.Sign
	ValueKMH           int32 `parquet:"value_kmh"`
	Hazard             int32 `parquet:"hazard"` // telemetry.Hazard
	ConfidencePermille int32 `parquet:"confidence_permille"`
}
