// Package simulate is an upstream: it makes up coherent calls and produces their
// CDRs with package cdrclient, as a contact centre's call processing would.
//
//	answered      caller → IVR → queue → agent, recorded
//	transferred   … → agent → another queue → another agent
//	missed        … → queue, rings in vain at one agent or two → agent
//	abandoned     … → queue, the caller hangs up
//	overflow      … → queue, too long → another queue → agent
//	callback      … → queue, leaves; later an agent calls back
//	voicemail     … → queue, too long, no agent
//	self-service  … → IVR, and nobody was needed
//	direct        caller → agent, who may miss it
//
// The records of a call share one ScenarioId; ParentId leads from each leg to the one
// that it came from: the queue's to the IVR's, the agent's to the queue's, a second
// queue's to whoever sent the call there. Their times join: a queue call begins where
// the leg before it ends, its wait ends where the agent answers, agent and recording
// end where the queue call ends. Menus and queues stand at several places of the
// organization tree. Callers speak, and are called, in several scripts.
//
// Guarantees: the same seed, mix and times give the same bytes; every record is valid
// against its schema; all people and numbers are made up (numbers from the ranges kept
// free for fiction); Run returns nil only when every record is acknowledged.
package simulate
