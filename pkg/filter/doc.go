// Package filter decides by an expression whether an event goes to a subscription:
//
//	cdr.QueueName == "Sales" && cdr.TalkTime > 60
//	event.type == "App.AgentWebhook" && cdr.CallState in ["missed", "rejected"]
//	cdr.IvrInputs.exists(i, i.ParameterName == "Product" && i.ParameterValue == "3")
//
// Expressions are CEL (the Common Expression Language, https://cel.dev) over two
// names: cdr is the record, with the names that it has on the wire; event is its
// envelope: type, call_id, scenario_id, parent_id, ou_path, source, tenant (texts,
// "" where there is none) and occurred_at (a timestamp).
//
// What differs from plain CEL, because records come from many producers:
//
//   - A field that is missing reads as null, at any level. null equals nothing but
//     null, so cdr.QueueName == "Sales" is false for a record without QueueName,
//     and cdr.QueueName != "Sales" is true. Everything else that is done with null
//     (>, +, startsWith …) is an error of that event; has(cdr.TalkTime), true when
//     the field is there and not null, guards it.
//   - Numbers of a record are decimals (CEL's double). They compare with integers
//     and decimals alike: cdr.TalkTime > 60 and cdr.TalkTime == 61 mean what they
//     say. CEL computes with decimals only among themselves: cdr.TalkTime / 60.0,
//     not / 60, which Compile refuses. Integers beyond 2^53 are rounded: compare
//     ids as texts, event.call_id.
//   - The durations and scores that producers write as a number or as a text with
//     a number in it (NumberFields) are numbers either way, and the two flags
//     (FlagFields) are true or false, whether written true or "True". Comparing
//     one of them with such a text ("61", "True") would never hold: Compile refuses
//     that too.
//
// An expression has to give true or false by its type, is at most MaxText bytes
// long, and each evaluation stops at CostLimit. No expression can loop for long,
// reach the network, the clock or anything else outside the two names.
package filter
