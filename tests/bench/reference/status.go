// The status of a run: pure changes, without any request.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	stateSubmitting = "Submitting"
	stateRunning    = "Running"
	stateSucceeded  = "Succeeded"
	stateFailed     = "Failed"
	historyLimit    = 5
)

func (r *Run) ended() bool { return r.State == stateSucceeded || r.State == stateFailed }

// begin sets the intent of the next run: it is about to be submitted.
func (s *ModelRefreshStatus) begin(object *ModelRefresh) {
	now := metav1.Now()
	next := &Run{
		Number:        1,
		Trigger:       Trigger{Type: "Creation"},
		Attempt:       1,
		Model:         object.Spec.Model,
		RequestDigest: digest(object.Spec),
		RequestedTime: now,
		SubmittedTime: &now,
	}
	if s.Run != nil {
		next.Number, next.Trigger.Type = s.Run.Number+1, "Change"
	}
	database := object.Spec.Model.AnalysisServices
	s.Model = path.Base(database.Server) + "/" + database.Database
	s.LastHandledDigest = next.RequestDigest
	s.ObservedGeneration = object.Generation
	s.Run = next
	s.set(object, stateSubmitting, stateSubmitting, "about to be submitted")
}

// accepted records the id of the operation.
func (s *ModelRefreshStatus) accepted(object *ModelRefresh, id string) {
	now := metav1.Now()
	s.Run.OperationID, s.Run.StartedTime = id, &now
	s.set(object, stateRunning, stateRunning, fmt.Sprintf("the service runs operation %s", id))
}

// end records the end of the run, also in the history.
func (s *ModelRefreshStatus) end(object *ModelRefresh, state, reason, message string) {
	now := metav1.Now()
	run := s.Run
	s.set(object, state, reason, message)
	run.RecordedTime = &now
	if run.EndedTime == nil {
		run.EndedTime = &now
	}
	entry := HistoryEntry{
		Number: run.Number, Trigger: run.Trigger, Attempts: run.Attempt, State: state, OperationID: run.OperationID,
		StartedTime: run.StartedTime, EndedTime: run.EndedTime, RecordedTime: run.RecordedTime, RequestedTime: &run.RequestedTime,
		RequestDigest: run.RequestDigest, Reason: reason, Message: message[:min(len(message), 256)],
	}
	if run.StartedTime != nil {
		took := max(run.EndedTime.Sub(run.StartedTime.Time), 0).Truncate(time.Second)
		run.Duration, entry.DurationSeconds = took.String(), int64(took.Seconds())
	}
	s.History = append([]HistoryEntry{entry}, s.History[:min(len(s.History), historyLimit-1)]...)
	if state == stateSucceeded {
		s.LastSuccessfulTime = run.EndedTime
		s.SuccessfulRuns++
	}
}

// set changes the state of the run, and derives the conditions.
func (s *ModelRefreshStatus) set(object *ModelRefresh, state, reason, message string) {
	run := s.Run
	run.State, run.Reason, run.Message = state, reason, message[:min(len(message), 1024)]
	condition := func(kind string, status metav1.ConditionStatus, message string) {
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{
			Type: kind, Status: status, ObservedGeneration: object.Generation, Reason: reason, Message: message,
		})
	}
	succeeded, finished, fact := metav1.ConditionUnknown, metav1.ConditionFalse, fmt.Sprintf("run %d has not ended", run.Number)
	switch state {
	case stateSucceeded:
		succeeded, finished, fact = metav1.ConditionTrue, metav1.ConditionTrue, fmt.Sprintf("run %d succeeded", run.Number)
	case stateFailed:
		succeeded, finished, fact = metav1.ConditionFalse, metav1.ConditionTrue, fmt.Sprintf("run %d failed", run.Number)
	}
	if run.ended() {
		meta.RemoveStatusCondition(&s.Conditions, "Reconciling")
	} else {
		condition("Reconciling", metav1.ConditionTrue, run.Message)
	}
	condition("Ready", succeeded, run.Message)
	condition("Succeeded", succeeded, fact)
	condition("Finished", finished, fact)
}

// observe records what a poll shows, and returns whether it is worth a write.
func (r *Run) observe(operation *Operation) bool {
	before, state := r.Progress, r.ServiceState
	r.ServiceState = operation.Status
	if !operation.StartTime.IsZero() {
		r.StartedTime = &metav1.Time{Time: operation.StartTime}
	}
	if !operation.EndTime.IsZero() {
		r.EndedTime = &metav1.Time{Time: operation.EndTime}
	}
	if len(operation.Objects) == 0 {
		return state != r.ServiceState
	}
	r.Progress = progress(operation)
	counts := func(p *Progress) [3]int32 { return [3]int32{p.Total, p.Completed, p.Failed} }
	return state != r.ServiceState || before == nil || counts(before) != counts(r.Progress)
}

// progress counts the objects of an operation by table, in the order of the response.
func progress(operation *Operation) *Progress {
	all := new(Progress)
	index := map[string]int{}
	for _, object := range operation.Objects {
		at, found := index[object.Table]
		if !found {
			at = len(all.Tables)
			index[object.Table] = at
			all.Tables = append(all.Tables, TableProgress{Name: object.Table})
		}
		table := &all.Tables[at]
		table.Total++
		all.Total++
		switch object.Status {
		case "succeeded":
			table.Completed++
			all.Completed++
		case "failed", "timedOut", "cancelled":
			table.Failed++
			all.Failed++
		}
	}
	all.TableCount = int32(len(all.Tables))
	all.Tables = all.Tables[:min(len(all.Tables), 20)]
	all.Summary = fmt.Sprintf("%d/%d", all.Completed, all.Total)
	return all
}

// digest identifies the model and the refresh parameters of a run.
func digest(spec ModelRefreshSpec) string {
	text, _ := json.Marshal([]any{spec.Model, spec.Refresh})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}
