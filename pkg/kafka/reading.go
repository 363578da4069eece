package kafka

import "fmt"

// Reading says of which partition an error of a poll is. Of what concerns a whole
// client, such as that it cannot join its group, the client names none.
func Reading(topic string, partition int32, err error) error {
	if topic == "" {
		return fmt.Errorf("reading: %w", err)
	}
	return fmt.Errorf("reading %s/%d: %w", topic, partition, err)
}
