// Package deploy holds that what is in deployments/ and docker-compose.yml can be
// loaded by those who will load it, and names only settings, metrics and views that
// exist.
//
// It guarantees this without a container engine, a cluster or a Prometheus: its
// tests use Compose's loader, kustomize and the typed API of Kubernetes as libraries.
// It is a module of its own, so that none of them reaches what is shipped.
package deploy
