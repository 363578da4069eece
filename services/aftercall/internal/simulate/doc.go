// Package simulate is an upstream: it makes up coherent calls and produces their
// CDRs with package cdrclient, as a contact centre's call processing would.
//
//	caller → IVR → queue → agent, recorded
//
// A call is four records that share one ScenarioId; ParentId leads from the queue
// record to the IVR's and from the agent's to the queue's. Their times join: the
// IVR ends where the queue begins, the wait ends where the agent answers, agent
// and recording end where the queue call ends. Queues stand at several places of
// the organization tree.
//
// Guarantees: the same seed and the same times give the same bytes; all people and
// numbers are made up (numbers from the ranges kept free for fiction); Run
// returns nil only when every record is acknowledged.
package simulate
