package postmortem

import (
	"encoding/json"
	"time"

	"lifeboat/internal/incident"
)

// data decodes an event's data; what can't be read is its zero value.
func data[T any](e incident.Event) T {
	v, _ := tryData[T](e)
	return v
}

func tryData[T any](e incident.Event) (v T, readable bool) {
	var read T
	if len(e.Data) == 0 || json.Unmarshal(e.Data, &read) != nil {
		return v, false
	}
	return read, true
}

// What the data of events hold, as far as sentences need it. incident writes them.
type (
	reasonData struct {
		ID     string `json:"id"`
		Reason string `json:"reason"`
		Lever  string `json:"lever"`
	}
	pressData struct {
		Pull  incident.Pull        `json:"pull"`
		Facts *incident.LeverFacts `json:"facts"`
	}
	parkData struct {
		Pull    string           `json:"pull"`
		Parking incident.Parking `json:"parking"`
	}
	ruleData struct {
		Rule    string `json:"rule"`
		Reason  string `json:"reason"`
		Satisfy string `json:"satisfy"`
	}
	textData struct {
		Key  string `json:"key"`
		Text string `json:"text"`
	}
	markData struct {
		ID      string `json:"id"`
		Suspect bool   `json:"suspect"`
		Note    string `json:"note"`
	}
	weighData struct {
		Cause  string          `json:"cause"`
		Weight incident.Weight `json:"weight"`
	}
	testData struct {
		Cause string        `json:"cause"`
		Test  incident.Test `json:"test"`
	}
	aloneData struct {
		ID     string `json:"id"`
		Reason string `json:"reason"`
	}
	carriedData struct {
		ID     string `json:"id"`
		Detail string `json:"detail"`
	}
	measuredData struct {
		ID     string            `json:"id"`
		Result incident.FixState `json:"result"`
		Why    string            `json:"why"`
	}
	readingData struct {
		ID      string           `json:"id"`
		Verdict string           `json:"verdict"`
		Reading incident.Reading `json:"reading"`
		Streak  int              `json:"streak"`
	}
	returnData struct {
		Because string `json:"because"`
		Needed  int    `json:"needed"`
	}
	passedData struct {
		Share int      `json:"share"` // per cent; 0 is everybody
		Undo  []string `json:"undo"`
	}
	watchData struct {
		Until time.Time `json:"until"`
	}
	phaseData struct {
		From incident.Phase `json:"from"`
		To   incident.Phase `json:"to"`
	}
	severityData struct {
		Level string `json:"level"`
		Why   string `json:"why"`
	}
	roleData struct {
		Role   string `json:"role"`
		Person string `json:"person"`
	}
	objectionData struct {
		ID   string `json:"id"`
		Text string `json:"text"`
	}
	dueData struct {
		Due    time.Time `json:"due"`
		Reason string    `json:"reason"`
	}
	deliveryData struct {
		ID      string `json:"id"`
		Channel string `json:"channel"`
		Detail  string `json:"detail"`
	}
)
