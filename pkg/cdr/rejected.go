package cdr

// Codes of rejections, as they stand in Rejection.code.
const (
	// CodeTooLarge: the value is over the cap. It is not looked at any further.
	CodeTooLarge = "too_large"
	// CodeNotUTF8: the value holds bytes that are not UTF-8.
	CodeNotUTF8 = "not_utf8"
	// CodeNotJSON: the value is not one JSON text (RFC 8259), or is nested
	// deeper than MaxDepth.
	CodeNotJSON = "not_json"
	// CodeNotObject: the value is JSON, but not an object.
	CodeNotObject = "not_object"
	// CodeCallIDMissing: there is no CallId, on a topic that needs one.
	CodeCallIDMissing = "call_id_missing"
	// CodeCallIDInvalid: CallId is neither a string of 1–256 characters nor an
	// integer.
	CodeCallIDInvalid = "call_id_invalid"
	// CodeTypeContradiction: the header ce_type names another type than the
	// topic carries, or, where the topic carries several, none at all.
	CodeTypeContradiction = "type_contradiction"
	// CodeHeaderInvalid: a header that decides who may see the record, or who
	// gets it (aftercall-tenant, aftercall-target), cannot be read. Ignoring it
	// would send the record to somebody else.
	CodeHeaderInvalid = "header_invalid"
	// CodeTooManyMatches, CodeVersionUnknown and CodeBatchTooLarge are found by
	// the router after or before decoding.
	CodeTooManyMatches = "too_many_matches"
	CodeVersionUnknown = "version_unknown"
	CodeBatchTooLarge  = "batch_too_large"
)

// Rejected says why a record cannot be a CDR. It repeats no value.
type Rejected struct {
	// Code is one of the constants above.
	Code string
	// Field is what is wrong: a JSON pointer ("/CallId"), a header's name, or
	// empty for the value as a whole.
	Field string
	// Reason says in words what is wrong, and what would be right.
	Reason string
}

func (r *Rejected) Error() string {
	if r.Field == "" {
		return r.Code + ": " + r.Reason
	}
	return r.Code + " (" + r.Field + "): " + r.Reason
}
