# The two commands of the README come first. Both install what they need.
.PHONY: demo test test-slow test-vm bench bench-search bench-store bench-vault bench-sandbox bench-monitor bench-migrate build clean

demo: ; @scripts/setup.sh demo && scripts/demo.sh

test: ; @scripts/setup.sh test && scripts/test.sh

test-slow: ; @scripts/setup.sh test && SLOW=1 npx --no-install vitest run --project slow --reporter verbose

# KERNEL=6.1: what the kernel has most to do with, on that one. VM="--only events,posix": these tests alone.
test-vm: ; @scripts/setup.sh vm && CLAWFS_VM_KERNEL="$(KERNEL)" test/vm/run.sh test/vm/$(if $(filter 6.1,$(KERNEL)),kernel,all).sh $(VM)

bench: ; @scripts/setup.sh bench && npx --no-install tsc -p bench/tsconfig.json && node build/bench/main.js $(BENCH)

bench-search: ; @scripts/setup.sh bench && npx --no-install tsc -p bench/tsconfig.json && node build/bench/search/main.js $(BENCH)

bench-store: ; @scripts/setup.sh bench && npx --no-install tsc -p bench/tsconfig.json && node build/bench/store/main.js $(BENCH)

bench-vault: ; @scripts/setup.sh bench && npx --no-install tsc -p bench/tsconfig.json && node build/bench/vault/main.js $(BENCH)

bench-sandbox: ; @scripts/setup.sh bench && npx --no-install tsc -p bench/tsconfig.json && node build/bench/sandbox/main.js $(BENCH)

bench-monitor: ; @scripts/setup.sh bench && npx --no-install tsc -p bench/tsconfig.json && node build/bench/monitor/main.js $(BENCH)

bench-migrate: ; @scripts/setup.sh bench && npx --no-install tsc -p bench/tsconfig.json && node build/bench/migrate/main.js $(BENCH)

build: ; @scripts/setup.sh demo

clean: ; @rm -rf dist build node_modules bench/peers/node_modules
