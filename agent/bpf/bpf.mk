# The BPF programs of the agent. Cargo embeds the committed blobs; only who changes agent/bpf needs the tools: clang 14,
# llvm 14, bpftool 7.1 and libbpf-dev 1.1, as Debian 12 has them.
.PHONY: bpf bpf-check

bpf: ## Rebuild the BPF blobs from agent/bpf (needs clang-14, llvm-14, bpftool, libbpf-dev)
	agent/bpf/build

bpf-check: ## Prove that the committed BPF blobs are what the source gives, and bound the verifier's work
	agent/bpf/check
	cargo test --locked --workspace --lib the_verifier_reads_fewer_instructions_than_the_bound -- --include-ignored --nocapture
