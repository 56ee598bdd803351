// The fields of a ModelRefresh that a plain run needs, as typed structs. The deep copies are what controller-gen would generate.
package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

var (
	groupVersion  = schema.GroupVersion{Group: "tabular-operator.dev", Version: "v1alpha1"}
	schemeBuilder = (&scheme.Builder{GroupVersion: groupVersion}).Register(&ModelRefresh{}, &ModelRefreshList{})
)

type ModelRefresh struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ModelRefreshSpec   `json:"spec"`
	Status            ModelRefreshStatus `json:"status,omitempty"`
}

type ModelRefreshList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ModelRefresh `json:"items"`
}

type ModelRefreshSpec struct {
	Model       Model       `json:"model"`
	Credentials Credentials `json:"credentials"`
	Refresh     Refresh     `json:"refresh"`
}

type Model struct {
	AnalysisServices Database `json:"analysisServices"`
}

type Database struct {
	Server   string `json:"server"`
	Database string `json:"database"`
}

type Credentials struct {
	ServicePrincipalRef struct {
		Name string `json:"name"`
	} `json:"servicePrincipalRef"`
}

type Refresh struct {
	Type string `json:"type,omitempty"`
}

type ModelRefreshStatus struct {
	ObservedGeneration int64              `json:"observedGeneration"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	Model              string             `json:"model,omitempty"`
	Run                *Run               `json:"run,omitempty"`
	History            []HistoryEntry     `json:"history,omitempty"`
	LastHandledDigest  string             `json:"lastHandledDigest,omitempty"`
	LastSuccessfulTime *metav1.Time       `json:"lastSuccessfulTime,omitempty"`
	SuccessfulRuns     int64              `json:"successfulRuns,omitempty"`
}

type Run struct {
	Number        int32        `json:"number"`
	Trigger       Trigger      `json:"trigger"`
	Attempt       int32        `json:"attempt"`
	State         string       `json:"state"`
	Model         Model        `json:"model"`
	RequestDigest string       `json:"requestDigest"`
	OperationID   string       `json:"operationId,omitempty"`
	ServiceState  string       `json:"serviceState,omitempty"`
	RequestedTime metav1.Time  `json:"requestedTime"`
	SubmittedTime *metav1.Time `json:"submittedTime,omitempty"`
	StartedTime   *metav1.Time `json:"startedTime,omitempty"`
	EndedTime     *metav1.Time `json:"endedTime,omitempty"`
	RecordedTime  *metav1.Time `json:"recordedTime,omitempty"`
	Duration      string       `json:"duration,omitempty"`
	Progress      *Progress    `json:"progress,omitempty"`
	Reason        string       `json:"reason"`
	Message       string       `json:"message"`
}

type Trigger struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type Progress struct {
	Summary    string          `json:"summary"`
	Total      int32           `json:"total"`
	Completed  int32           `json:"completed"`
	Failed     int32           `json:"failed"`
	TableCount int32           `json:"tableCount"`
	Tables     []TableProgress `json:"tables,omitempty"`
}

type TableProgress struct {
	Name      string `json:"name"`
	Total     int32  `json:"total"`
	Completed int32  `json:"completed"`
	Failed    int32  `json:"failed,omitempty"`
}

type HistoryEntry struct {
	Number          int32        `json:"number"`
	Trigger         Trigger      `json:"trigger"`
	Attempts        int32        `json:"attempts"`
	State           string       `json:"state"`
	OperationID     string       `json:"operationId,omitempty"`
	StartedTime     *metav1.Time `json:"startedTime,omitempty"`
	EndedTime       *metav1.Time `json:"endedTime,omitempty"`
	RecordedTime    *metav1.Time `json:"recordedTime,omitempty"`
	RequestedTime   *metav1.Time `json:"requestedTime,omitempty"`
	RequestDigest   string       `json:"requestDigest,omitempty"`
	DurationSeconds int64        `json:"durationSeconds"`
	Reason          string       `json:"reason,omitempty"`
	Message         string       `json:"message"`
}

func (in *ModelRefresh) DeepCopyObject() runtime.Object {
	out := &ModelRefresh{TypeMeta: in.TypeMeta, Spec: in.Spec}
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	in.Status.deepCopyInto(&out.Status)
	return out
}

func (in *ModelRefresh) deepCopy() *ModelRefresh { return in.DeepCopyObject().(*ModelRefresh) }

func (in *ModelRefreshList) DeepCopyObject() runtime.Object {
	out := &ModelRefreshList{TypeMeta: in.TypeMeta, Items: make([]ModelRefresh, len(in.Items))}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	for i := range in.Items {
		out.Items[i] = *in.Items[i].deepCopy()
	}
	return out
}

func (in *ModelRefreshStatus) deepCopyInto(out *ModelRefreshStatus) {
	*out = *in
	if in.Conditions != nil {
		out.Conditions = make([]metav1.Condition, len(in.Conditions))
		for i := range in.Conditions {
			in.Conditions[i].DeepCopyInto(&out.Conditions[i])
		}
	}
	if in.Run != nil {
		out.Run = in.Run.deepCopy()
	}
	if in.History != nil {
		out.History = make([]HistoryEntry, len(in.History))
		for i := range in.History {
			in.History[i].deepCopyInto(&out.History[i])
		}
	}
	out.LastSuccessfulTime = in.LastSuccessfulTime.DeepCopy()
}

func (in *Run) deepCopy() *Run {
	out := new(Run)
	*out = *in
	in.RequestedTime.DeepCopyInto(&out.RequestedTime)
	out.SubmittedTime = in.SubmittedTime.DeepCopy()
	out.StartedTime = in.StartedTime.DeepCopy()
	out.EndedTime = in.EndedTime.DeepCopy()
	out.RecordedTime = in.RecordedTime.DeepCopy()
	if in.Progress != nil {
		out.Progress = new(Progress)
		*out.Progress = *in.Progress
		out.Progress.Tables = append([]TableProgress(nil), in.Progress.Tables...)
	}
	return out
}

func (in *HistoryEntry) deepCopyInto(out *HistoryEntry) {
	*out = *in
	out.StartedTime = in.StartedTime.DeepCopy()
	out.EndedTime = in.EndedTime.DeepCopy()
	out.RecordedTime = in.RecordedTime.DeepCopy()
	out.RequestedTime = in.RequestedTime.DeepCopy()
}
