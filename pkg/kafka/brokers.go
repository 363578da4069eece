package kafka

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// MinOffsetMetadata is how many bytes of metadata a broker should accept with a
// committed offset: the senders keep there what they have finished out of order.
const MinOffsetMetadata = 4096

// VerifyBrokers looks at settings of the brokers themselves. All of its findings
// are warnings: it works without them, but less well.
func VerifyBrokers(ctx context.Context, client *kgo.Client) ([]Finding, error) {
	var findings []Finding
	version, known, err := transactionVersion(ctx, client)
	if err != nil {
		return nil, err
	}
	if known && version < 2 {
		findings = append(findings, Finding{Severity: Warn, Message: fmt.Sprintf("the cluster has transaction.version=%d: "+
			"a transaction may be left hanging and hold up every reader of its partition; "+
			"set it to 2 (kafka-features upgrade --feature transaction.version=2, brokers 4.0 or later)", version)})
	}
	limit, known, err := offsetMetadataLimit(ctx, kadm.NewClient(client))
	if err != nil {
		return nil, err
	}
	if known && limit < MinOffsetMetadata {
		findings = append(findings, Finding{Severity: Warn, Message: fmt.Sprintf("the brokers have offset.metadata.max.bytes=%d: "+
			"after a restart senders repeat what they had finished out of order; set it to %d or more", limit, MinOffsetMetadata)})
	}
	return findings, nil
}

// transactionVersion is the finalized level of the feature, unknown to brokers
// that have no such feature or do not say.
func transactionVersion(ctx context.Context, client *kgo.Client) (version int, known bool, err error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "aftercall", "1"
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return 0, false, fmt.Errorf("asking for the brokers' features: %w", err)
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" {
			return int(f.MaxVersionLevel), true, nil
		}
	}
	for _, f := range resp.SupportedFeatures {
		if f.Name == "transaction.version" {
			return 0, true, nil // it could, and does not
		}
	}
	return 0, false, nil
}

func offsetMetadataLimit(ctx context.Context, adm *kadm.Client) (limit int, known bool, err error) {
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return 0, false, fmt.Errorf("listing brokers: %w", err)
	}
	configs, err := adm.DescribeBrokerConfigs(ctx, brokers.NodeIDs()...)
	if err != nil {
		return 0, false, fmt.Errorf("describing brokers: %w", err)
	}
	for _, rc := range configs {
		n, err := strconv.Atoi(setting(rc, "offset.metadata.max.bytes"))
		if err != nil {
			continue // not told: no right to, or no such setting
		}
		if !known || n < limit {
			limit, known = n, true
		}
	}
	return limit, known, nil
}
