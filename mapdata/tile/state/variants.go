package state

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/carasso/carasso/mapdata/road"
)

// FormatVariants writes variants as tiles carry them: "80w,30@22-6" is 80 km/h when wet and
// 30 km/h from 22 to 6 o'clock; "none" stands for no limit. "" for none at all.
func FormatVariants(vs []Variant) string {
	var b strings.Builder
	for i, v := range vs {
		if i > 0 {
			b.WriteByte(',')
		}
		if v.KMH == road.Unlimited {
			b.WriteString("none")
		} else {
			b.WriteString(strconv.Itoa(int(v.KMH)))
		}
		if v.Wet {
			b.WriteByte('w')
		}
		if v.FromHour != v.ToHour {
			b.WriteString("@" + strconv.Itoa(int(v.FromHour)) + "-" + strconv.Itoa(int(v.ToHour)))
		}
	}
	return b.String()
}

// ParseVariants is the inverse of FormatVariants; the error wraps ErrCorrupt.
func ParseVariants(s string) ([]Variant, error) {
	if s == "" {
		return nil, nil
	}
	var vs []Variant
	for part := range strings.SplitSeq(s, ",") {
		v, ok := parseVariant(part)
		if !ok || len(vs) == MaxVariants {
			return nil, fmt.Errorf("%w: variant %.20q", ErrCorrupt, part)
		}
		vs = append(vs, v)
	}
	return vs, nil
}

func parseVariant(s string) (v Variant, ok bool) {
	s, hours, timed := strings.Cut(s, "@")
	if timed {
		from, to, both := strings.Cut(hours, "-")
		v.FromHour, v.ToHour = hour(from), hour(to)
		if !both || v.FromHour == v.ToHour {
			return v, false
		}
	}
	s, v.Wet = strings.CutSuffix(s, "w")
	if s == "none" {
		v.KMH = road.Unlimited
		return v, v.valid()
	}
	n, err := strconv.ParseUint(s, 10, 8)
	v.KMH = uint8(n)
	return v, err == nil && v.valid() && v.KMH != road.Unlimited && s[0] != '0'
}

// hour is 24, which is none, for what is no hour.
func hour(s string) uint8 {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n > 23 || len(s) > 1 && s[0] == '0' {
		return 24
	}
	return uint8(n)
}
