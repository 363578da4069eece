//go:build !proof

package replay_test

const many = 2000
