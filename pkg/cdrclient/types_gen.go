// Code generated from the JSON Schemas of the event types by internal/gen; DO NOT EDIT.

package cdrclient

// IvrCDR is the CDR of App.IvrWebhook. Sent after an IVR call has been ended.
type IvrCDR struct {
	// Internal call id. A string of 1 to 256 characters, or an integer; it is
	// the key of the record.
	CallId ID `json:"CallId,omitzero"`
	// Microsoft Teams call id, shared by all records of one call.
	ScenarioId ID `json:"ScenarioId,omitzero"`
	// Inbound or Outbound.
	CallDirection string `json:"CallDirection,omitzero"`
	// Display name of the caller.
	// Personal data.
	CallerName string `json:"CallerName,omitzero"`
	// Entra ID object id of the caller.
	// Personal data.
	CallerAdId ID `json:"CallerAdId,omitzero"`
	// User principal name of the caller.
	// Personal data.
	CallerUpn string `json:"CallerUpn,omitzero"`
	// Phone number of the caller.
	// Personal data.
	CallerNumber string `json:"CallerNumber,omitzero"`
	// When the call started: a date and time. The zone is that of the producer
	// unless the text names one.
	StartDateTime DateTime `json:"StartDateTime,omitzero"`
	// When the call ended: a date and time.
	EndDateTime DateTime `json:"EndDateTime,omitzero"`
	// Time in the IVR. A number or a text; the unit is the producer's.
	CallLength Value `json:"CallLength,omitzero"`
	// Internal id of the IVR.
	IvrId ID `json:"IvrId,omitzero"`
	// Name of the IVR.
	IvrName string `json:"IvrName,omitzero"`
	// Always "Null"; kept for a future feature.
	ResourceAccountObjectId string `json:"ResourceAccountObjectId,omitzero"`
	// Path of the organization unit that the record belongs to, from the root
	// down.
	OUPath string `json:"OUPath,omitzero"`
	// Internal id of the parent record.
	ParentId ID `json:"ParentId,omitzero"`
	// Name of the IVR or queue that the call was transferred from.
	From string `json:"From,omitzero"`
	// Type of the transfer out of the IVR.
	TransferType string `json:"TransferType,omitzero"`
	// Id of the transfer destination. Spelled so on the wire.
	// Personal data.
	TrasnferToId ID `json:"TrasnferToId,omitzero"`
	// User, queue, IVR or phone number that the call was transferred to.
	// Personal data.
	TransferToName string `json:"TransferToName,omitzero"`
	// Data collected in the IVR, in order.
	IvrInputs []IvrInput `json:"IvrInputs,omitzero"`
	// Value 01 filled in the IVR by data collection.
	// Personal data.
	DataValue01 Value `json:"DataValue01,omitzero"`
	// Value 02 filled in the IVR by data collection.
	// Personal data.
	DataValue02 Value `json:"DataValue02,omitzero"`
	// Value 03 filled in the IVR by data collection.
	// Personal data.
	DataValue03 Value `json:"DataValue03,omitzero"`
	// Value 04 filled in the IVR by data collection.
	// Personal data.
	DataValue04 Value `json:"DataValue04,omitzero"`
	// Value 05 filled in the IVR by data collection.
	// Personal data.
	DataValue05 Value `json:"DataValue05,omitzero"`
	// Value 06 filled in the IVR by data collection.
	// Personal data.
	DataValue06 Value `json:"DataValue06,omitzero"`
	// Value 07 filled in the IVR by data collection.
	// Personal data.
	DataValue07 Value `json:"DataValue07,omitzero"`
	// Value 08 filled in the IVR by data collection.
	// Personal data.
	DataValue08 Value `json:"DataValue08,omitzero"`
	// Value 09 filled in the IVR by data collection.
	// Personal data.
	DataValue09 Value `json:"DataValue09,omitzero"`
	// Value 10 filled in the IVR by data collection.
	// Personal data.
	DataValue10 Value `json:"DataValue10,omitzero"`
	// Value 11 filled in the IVR by data collection.
	// Personal data.
	DataValue11 Value `json:"DataValue11,omitzero"`
	// Value 12 filled in the IVR by data collection.
	// Personal data.
	DataValue12 Value `json:"DataValue12,omitzero"`
	// Value 13 filled in the IVR by data collection.
	// Personal data.
	DataValue13 Value `json:"DataValue13,omitzero"`
	// Value 14 filled in the IVR by data collection.
	// Personal data.
	DataValue14 Value `json:"DataValue14,omitzero"`
	// Value 15 filled in the IVR by data collection.
	// Personal data.
	DataValue15 Value `json:"DataValue15,omitzero"`
	// Value 16 filled in the IVR by data collection.
	// Personal data.
	DataValue16 Value `json:"DataValue16,omitzero"`
	// Value 17 filled in the IVR by data collection.
	// Personal data.
	DataValue17 Value `json:"DataValue17,omitzero"`
	// Value 18 filled in the IVR by data collection.
	// Personal data.
	DataValue18 Value `json:"DataValue18,omitzero"`
	// Value 19 filled in the IVR by data collection.
	// Personal data.
	DataValue19 Value `json:"DataValue19,omitzero"`
	// Value 20 filled in the IVR by data collection.
	// Personal data.
	DataValue20 Value `json:"DataValue20,omitzero"`
}

// EventType is "App.IvrWebhook".
func (IvrCDR) EventType() string { return "App.IvrWebhook" }

// QueueCDR is the CDR of App.QueueWebhook. Sent after a queue call has been ended.
type QueueCDR struct {
	// Internal call id. A string of 1 to 256 characters, or an integer; it is
	// the key of the record.
	CallId ID `json:"CallId,omitzero"`
	// Microsoft Teams call id, shared by all records of one call.
	ScenarioId ID `json:"ScenarioId,omitzero"`
	// Inbound or Outbound.
	CallDirection string `json:"CallDirection,omitzero"`
	// Display name of the caller.
	// Personal data.
	CallerName string `json:"CallerName,omitzero"`
	// Entra ID object id of the caller.
	// Personal data.
	CallerAdId ID `json:"CallerAdId,omitzero"`
	// User principal name of the caller.
	// Personal data.
	CallerUpn string `json:"CallerUpn,omitzero"`
	// Phone number of the caller.
	// Personal data.
	CallerNumber string `json:"CallerNumber,omitzero"`
	// When the call started: a date and time. The zone is that of the producer
	// unless the text names one.
	StartDateTime DateTime `json:"StartDateTime,omitzero"`
	// When the call ended: a date and time.
	EndDateTime DateTime `json:"EndDateTime,omitzero"`
	// Total length: waiting plus talking. A number or a text; the unit is the
	// producer's.
	CallLength Value `json:"CallLength,omitzero"`
	// Time in the queue before an agent answered. A number or a text; the unit
	// is the producer's.
	WaitTime Value `json:"WaitTime,omitzero"`
	// Time that agent and caller were connected. A number or a text; the unit
	// is the producer's.
	TalkTime Value `json:"TalkTime,omitzero"`
	// Internal id of the queue.
	QueueId ID `json:"QueueId,omitzero"`
	// Name of the queue.
	QueueName string `json:"QueueName,omitzero"`
	// Always "Null"; kept for a future feature.
	ResourceAccountObjectId string `json:"ResourceAccountObjectId,omitzero"`
	// Path of the organization unit that the record belongs to, from the root
	// down.
	OUPath string `json:"OUPath,omitzero"`
	// Internal id of the parent record.
	ParentId ID `json:"ParentId,omitzero"`
	// Name of the IVR or queue that the call was transferred from.
	From string `json:"From,omitzero"`
	// Whether the call met the service level of the queue: True or False.
	MetServiceLevel Flag `json:"MetServiceLevel,omitzero"`
	// Display name of the agent.
	// Personal data.
	AgentName string `json:"AgentName,omitzero"`
	// User principal name of the agent.
	// Personal data.
	AgentUpn string `json:"AgentUpn,omitzero"`
	// Internal id of the agent.
	AgentId ID `json:"AgentId,omitzero"`
	// Entra ID object id of the agent.
	// Personal data.
	AgentAdId ID `json:"AgentAdId,omitzero"`
	// Internal id of the callback request, where there was one.
	CallbackRequestId ID `json:"CallbackRequestId,omitzero"`
	// Why the caller left the queue.
	LeaveReason string `json:"LeaveReason,omitzero"`
	// Timeout action taken.
	TransferType string `json:"TransferType,omitzero"`
	// Id of the transfer destination.
	// Personal data.
	TransferToId ID `json:"TransferToId,omitzero"`
	// User, queue, IVR or phone number that the call was transferred to.
	// Personal data.
	TransferToName string `json:"TransferToName,omitzero"`
}

// EventType is "App.QueueWebhook".
func (QueueCDR) EventType() string { return "App.QueueWebhook" }

// AgentCDR is the CDR of App.AgentWebhook. Sent after an agent's call has been ended.
type AgentCDR struct {
	// Internal call id. A string of 1 to 256 characters, or an integer; it is
	// the key of the record.
	CallId ID `json:"CallId,omitzero"`
	// Microsoft Teams call id, shared by all records of one call.
	ScenarioId ID `json:"ScenarioId,omitzero"`
	// Inbound or Outbound.
	CallDirection string `json:"CallDirection,omitzero"`
	// Display name of the caller.
	// Personal data.
	CallerName string `json:"CallerName,omitzero"`
	// Entra ID object id of the caller.
	// Personal data.
	CallerAdId ID `json:"CallerAdId,omitzero"`
	// User principal name of the caller.
	// Personal data.
	CallerUpn string `json:"CallerUpn,omitzero"`
	// Phone number of the caller.
	// Personal data.
	CallerNumber string `json:"CallerNumber,omitzero"`
	// When the call started: a date and time. The zone is that of the producer
	// unless the text names one.
	StartDateTime DateTime `json:"StartDateTime,omitzero"`
	// When the call ended: a date and time.
	EndDateTime DateTime `json:"EndDateTime,omitzero"`
	// Length of the agent's call. A number or a text; the unit is the
	// producer's.
	CallLength Value `json:"CallLength,omitzero"`
	// Display name of the agent.
	// Personal data.
	AgentName string `json:"AgentName,omitzero"`
	// User principal name of the agent.
	// Personal data.
	AgentUpn string `json:"AgentUpn,omitzero"`
	// Internal id of the agent.
	AgentId ID `json:"AgentId,omitzero"`
	// Entra ID object id of the agent.
	// Personal data.
	AgentAdId ID `json:"AgentAdId,omitzero"`
	// Internal id of the queue or IVR that the call came through.
	InteractionObjectId ID `json:"InteractionObjectId,omitzero"`
	// Name of the queue or IVR that the call came through.
	InteractionObjectName string `json:"InteractionObjectName,omitzero"`
	// Path of the organization unit that the record belongs to, from the root
	// down.
	OUPath string `json:"OUPath,omitzero"`
	// Internal id of the parent record.
	ParentId ID `json:"ParentId,omitzero"`
	// Mean sentiment over the call; the scale is the producer's.
	AverageSentimentScore Value `json:"AverageSentimentScore,omitzero"`
	// State of the agent's call: connected, missed, rejected …
	CallState string `json:"CallState,omitzero"`
	// Whether the agent was called directly: True or False.
	IsDirectCall Flag `json:"IsDirectCall,omitzero"`
	// Time spent on wrap-up after the call. A number or a text; the unit is
	// the producer's.
	WrapupTime Value `json:"WrapupTime,omitzero"`
	// Questions of the wrap-up and the agent's answers.
	WrapupData []WrapupAnswer `json:"WrapupData,omitzero"`
}

// EventType is "App.AgentWebhook".
func (AgentCDR) EventType() string { return "App.AgentWebhook" }

// RecordingCDR is the CDR of App.RecordingWebhook. Sent after a recorded call has been ended.
type RecordingCDR struct {
	// Internal call id. A string of 1 to 256 characters, or an integer; it is
	// the key of the record.
	CallId ID `json:"CallId,omitzero"`
	// Microsoft Teams call id, shared by all records of one call.
	ScenarioId ID `json:"ScenarioId,omitzero"`
	// When the call started: a date and time. The zone is that of the producer
	// unless the text names one.
	StartDateTime DateTime `json:"StartDateTime,omitzero"`
	// When the call ended: a date and time.
	EndDateTime DateTime `json:"EndDateTime,omitzero"`
	// Inbound or Outbound.
	CallDirection string `json:"CallDirection,omitzero"`
	// Length of the recorded call. A number or a text; the unit is the
	// producer's.
	CallLength Value `json:"CallLength,omitzero"`
	// Display name of the caller.
	// Personal data.
	CallerName string `json:"CallerName,omitzero"`
	// Entra ID object id of the caller.
	// Personal data.
	CallerAdId ID `json:"CallerAdId,omitzero"`
	// Phone number of the caller.
	// Personal data.
	CallerNumber string `json:"CallerNumber,omitzero"`
	// User principal name of the caller.
	// Personal data.
	CallerUpn string `json:"CallerUpn,omitzero"`
	// Display name of the callee.
	// Personal data.
	CalleeName string `json:"CalleeName,omitzero"`
	// Entra ID object id of the callee.
	// Personal data.
	CalleeAdId ID `json:"CalleeAdId,omitzero"`
	// User principal name of the callee.
	// Personal data.
	CalleeUpn string `json:"CalleeUpn,omitzero"`
	// Phone number of the callee.
	// Personal data.
	CalleeNumber string `json:"CalleeNumber,omitzero"`
	// Path of the organization unit that the record belongs to, from the root
	// down. Spelled so in this event type.
	OuPath string `json:"OuPath,omitzero"`
	// Name of the recording in blob storage.
	// Personal data.
	RecordingFileName string `json:"RecordingFileName,omitzero"`
	// How the call was recorded.
	RecordingMode string `json:"RecordingMode,omitzero"`
	// Display name of the recorded user.
	// Personal data.
	RecordedUserName string `json:"RecordedUserName,omitzero"`
	// User principal name of the recorded user.
	// Personal data.
	RecordedUserUpn string `json:"RecordedUserUpn,omitzero"`
	// Entra ID object id of the recorded user.
	// Personal data.
	RecordedUserAdId ID `json:"RecordedUserAdId,omitzero"`
	// What was said, phrase by phrase.
	Transcription []TranscribedPhrase `json:"Transcription,omitzero"`
}

// EventType is "App.RecordingWebhook".
func (RecordingCDR) EventType() string { return "App.RecordingWebhook" }

// TestCDR is the CDR of App.TestWebhook. Sent by the button Send Test Webhook only, never caused by a call.
type TestCDR struct {
	// Text of the test.
	Message string `json:"Message,omitzero"`
	// Id of this test.
	TestId ID `json:"TestId,omitzero"`
	// Who pressed Send Test Webhook.
	// Personal data.
	SentBy string `json:"SentBy,omitzero"`
	// When it was pressed, UTC.
	SentAtUtc DateTime `json:"SentAtUtc,omitzero"`
}

// EventType is "App.TestWebhook".
func (TestCDR) EventType() string { return "App.TestWebhook" }

// IvrInput is one element of IvrInputs in a IvrCDR.
type IvrInput struct {
	// Internal id of the input.
	ID ID `json:"ID,omitzero"`
	// When the input was made.
	InputDateTime DateTime `json:"InputDateTime,omitzero"`
	// Block of the IVR that collected the input.
	BlockName string `json:"BlockName,omitzero"`
	// Name of the parameter.
	ParameterName string `json:"ParameterName,omitzero"`
	// What the caller entered or said.
	// Personal data.
	ParameterValue Value `json:"ParameterValue,omitzero"`
	// Type of the block.
	BlockType string `json:"BlockType,omitzero"`
	// Value 01 filled in the IVR by data collection.
	// Personal data.
	DataValue01 Value `json:"DataValue01,omitzero"`
	// Value 02 filled in the IVR by data collection.
	// Personal data.
	DataValue02 Value `json:"DataValue02,omitzero"`
	// Value 03 filled in the IVR by data collection.
	// Personal data.
	DataValue03 Value `json:"DataValue03,omitzero"`
	// Value 04 filled in the IVR by data collection.
	// Personal data.
	DataValue04 Value `json:"DataValue04,omitzero"`
	// Value 05 filled in the IVR by data collection.
	// Personal data.
	DataValue05 Value `json:"DataValue05,omitzero"`
	// Value 06 filled in the IVR by data collection.
	// Personal data.
	DataValue06 Value `json:"DataValue06,omitzero"`
	// Value 07 filled in the IVR by data collection.
	// Personal data.
	DataValue07 Value `json:"DataValue07,omitzero"`
	// Value 08 filled in the IVR by data collection.
	// Personal data.
	DataValue08 Value `json:"DataValue08,omitzero"`
	// Value 09 filled in the IVR by data collection.
	// Personal data.
	DataValue09 Value `json:"DataValue09,omitzero"`
	// Value 10 filled in the IVR by data collection.
	// Personal data.
	DataValue10 Value `json:"DataValue10,omitzero"`
	// Value 11 filled in the IVR by data collection.
	// Personal data.
	DataValue11 Value `json:"DataValue11,omitzero"`
	// Value 12 filled in the IVR by data collection.
	// Personal data.
	DataValue12 Value `json:"DataValue12,omitzero"`
	// Value 13 filled in the IVR by data collection.
	// Personal data.
	DataValue13 Value `json:"DataValue13,omitzero"`
	// Value 14 filled in the IVR by data collection.
	// Personal data.
	DataValue14 Value `json:"DataValue14,omitzero"`
	// Value 15 filled in the IVR by data collection.
	// Personal data.
	DataValue15 Value `json:"DataValue15,omitzero"`
	// Value 16 filled in the IVR by data collection.
	// Personal data.
	DataValue16 Value `json:"DataValue16,omitzero"`
	// Value 17 filled in the IVR by data collection.
	// Personal data.
	DataValue17 Value `json:"DataValue17,omitzero"`
	// Value 18 filled in the IVR by data collection.
	// Personal data.
	DataValue18 Value `json:"DataValue18,omitzero"`
	// Value 19 filled in the IVR by data collection.
	// Personal data.
	DataValue19 Value `json:"DataValue19,omitzero"`
	// Value 20 filled in the IVR by data collection.
	// Personal data.
	DataValue20 Value `json:"DataValue20,omitzero"`
}

// WrapupAnswer is one element of WrapupData in a AgentCDR.
type WrapupAnswer struct {
	// Internal id of the question.
	QuestionId ID `json:"QuestionId,omitzero"`
	// Order in which the question was presented.
	Order Value `json:"Order,omitzero"`
	// Text of the question.
	Question string `json:"Question,omitzero"`
	// What the agent answered.
	// Personal data.
	Answer Value `json:"Answer,omitzero"`
}

// TranscribedPhrase is one element of Transcription in a RecordingCDR.
type TranscribedPhrase struct {
	// Sentiment of the phrase; the scale is the producer's.
	SentimentScore Value `json:"SentimentScore,omitzero"`
	// What was said.
	// Personal data.
	Phrase string `json:"Phrase,omitzero"`
	// When the phrase was said.
	CreationTime DateTime `json:"CreationTime,omitzero"`
}
