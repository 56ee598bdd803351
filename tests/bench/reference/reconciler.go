// One reconciliation: starts the run of a new generation, or polls the operation of a running one.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

const (
	finalizer = "tabular-operator.dev/operation"
	// The shortest time between two writes that record only progress.
	progressInterval = 10 * time.Second
)

// Polling determines the interval between two polls, by the rule of the operator.
type Polling struct {
	min, max time.Duration
	fraction float64
}

// interval is a fraction of the time that the operation has run, shortened at random so that polls spread.
func (p Polling) interval(elapsed time.Duration) time.Duration {
	delay := max(min(time.Duration(float64(elapsed)*p.fraction), p.max), p.min)
	return max(time.Duration(float64(delay)*(1-0.15*rand.Float64())), p.min)
}

type Reconciler struct {
	client.Client
	azure      *Azure
	identities *Identities
	recorder   events.EventRecorder
	memory     Memory
	polling    Polling
}

func (r *Reconciler) setup(manager ctrl.Manager, concurrency int) error {
	return ctrl.NewControllerManagedBy(manager).
		// A write of the status or of the finalizer causes no reconciliation.
		For(&ModelRefresh{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r)
}

func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object := new(ModelRefresh)
	if err := r.Get(ctx, request.NamespacedName, object); err != nil {
		r.memory.forget(request.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	object, err := r.memory.newest(object)
	if err != nil {
		return ctrl.Result{}, err
	}
	run := object.Status.Run
	switch {
	case !object.DeletionTimestamp.IsZero():
		r.memory.forget(request.NamespacedName)
		return ctrl.Result{}, r.patchFinalizer(ctx, object, controllerutil.RemoveFinalizer)
	case run == nil || run.ended() && object.Status.ObservedGeneration != object.Generation:
		return r.start(ctx, object)
	case run.State == stateRunning:
		return r.poll(ctx, object)
	case run.State == stateSubmitting:
		return ctrl.Result{}, r.end(ctx, object, stateFailed, "SubmissionUnknown", "the response to the submission was lost")
	default:
		return ctrl.Result{}, nil
	}
}

// start submits the operation: the finalizer, the intent, the POST, and the id.
func (r *Reconciler) start(ctx context.Context, object *ModelRefresh) (ctrl.Result, error) {
	if err := r.patchFinalizer(ctx, object, controllerutil.AddFinalizer); err != nil {
		return ctrl.Result{}, err
	}
	identity, err := r.identities.resolve(ctx, object, submitTTL)
	if err != nil {
		return ctrl.Result{}, err
	}
	token, err := r.azure.token(identity)
	if err != nil {
		return ctrl.Result{}, err
	}
	object.Status.begin(object)
	if err := r.Status().Update(ctx, object); err != nil {
		return ctrl.Result{}, err
	}
	run := object.Status.Run
	id, err := r.azure.submit(ctx, token, run.Model.AnalysisServices, object.Spec.Refresh)
	if err != nil {
		return ctrl.Result{}, r.end(ctx, object, stateFailed, "SubmissionFailed", err.Error())
	}
	object.Status.accepted(object, id)
	if err := r.record(ctx, object); err != nil {
		return ctrl.Result{}, err
	}
	r.memory.remember(object)
	return ctrl.Result{RequeueAfter: r.polling.interval(0)}, nil
}

// poll reads the operation. It records its end, and its progress at most every ten seconds.
func (r *Reconciler) poll(ctx context.Context, object *ModelRefresh) (ctrl.Result, error) {
	identity, err := r.identities.resolve(ctx, object, pollTTL)
	if err != nil {
		return ctrl.Result{}, err
	}
	token, err := r.azure.token(identity)
	if err != nil {
		return ctrl.Result{}, err
	}
	run := object.Status.Run
	operation, err := r.azure.poll(ctx, token, run.Model.AnalysisServices, run.OperationID)
	if err != nil {
		return ctrl.Result{}, err
	}
	progressed := run.observe(operation)
	if operation.ended() {
		state, message := result(operation, run.OperationID)
		return ctrl.Result{}, r.end(ctx, object, state, state, message)
	}
	if progressed && r.memory.mayRecordProgress(object) {
		if err := r.Status().Update(ctx, object); err != nil {
			return ctrl.Result{}, err
		}
		r.memory.remember(object)
	}
	return ctrl.Result{RequeueAfter: r.polling.interval(time.Since(run.SubmittedTime.Time))}, nil
}

// end records the end of a run.
func (r *Reconciler) end(ctx context.Context, object *ModelRefresh, state, reason, message string) error {
	object.Status.end(object, state, reason, message)
	if err := r.record(ctx, object); err != nil {
		return err
	}
	r.memory.forget(client.ObjectKeyFromObject(object))
	return nil
}

// record writes the status, and publishes and logs the transition.
func (r *Reconciler) record(ctx context.Context, object *ModelRefresh) error {
	if err := r.Status().Update(ctx, object); err != nil {
		return err
	}
	run := object.Status.Run
	kind := corev1.EventTypeNormal
	if run.State == stateFailed {
		kind = corev1.EventTypeWarning
	}
	r.recorder.Eventf(object, nil, kind, run.Reason, "Reconcile", "%s", run.Message)
	log.FromContext(ctx).Info(run.Message, "run", run.Number, "state", run.State, "operation", run.OperationID)
	return nil
}

// patchFinalizer adds or removes the finalizer, unless the object has changed since it was read.
func (r *Reconciler) patchFinalizer(ctx context.Context, object *ModelRefresh, change func(client.Object, string) bool) error {
	base := object.deepCopy()
	if !change(object, finalizer) {
		return nil
	}
	return r.Patch(ctx, object, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
}

// result is the state of a run whose operation has ended, and its message.
func result(operation *Operation, id string) (state, message string) {
	if operation.Status == "succeeded" {
		return stateSucceeded, fmt.Sprintf("operation %s succeeded", id)
	}
	message = fmt.Sprintf("operation %s ended: %s", id, operation.Status)
	if len(operation.Messages) > 0 {
		message += ": " + operation.Messages[0].Message
	}
	return stateFailed, message
}
