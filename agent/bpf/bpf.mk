# The BPF programs of the agent. Cargo embeds the committed blobs; only who changes agent/bpf needs
# the tools: clang 14, llvm 14, bpftool 7.1 and libbpf-dev 1.1, as Debian 12 has them.
BPF_CLANG ?= clang-14
BPF_STRIP ?= llvm-strip-14
BPF_HEADERS := $(wildcard agent/bpf/*.h)

.PHONY: bpf bpf-check
bpf: ## Rebuild the BPF blobs from agent/bpf (needs clang-14, llvm-14, bpftool, libbpf-dev)
	agent/bpf/build $(BPF_CLANG) $(BPF_STRIP)

bpf-check: bpf ## Prove that the committed BPF blobs are what the source gives, and bound the verifier's work
	git diff --exit-code -- agent/bpf
	cargo test -p probelet-agent --lib the_verifier_reads_fewer_instructions_than_the_bound -- --nocapture
