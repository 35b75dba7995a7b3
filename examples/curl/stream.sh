#!/usr/bin/env bash
# Shows an answer as it is written, event by event. Start the gateway with `cargo run --release -- demo`, then run
# examples/curl/stream.sh.
set -euo pipefail

base_url=${OPENAI_BASE_URL:-http://127.0.0.1:3250/v1}

# --no-buffer prints each event when it comes.
curl --silent --show-error --fail-with-body --no-buffer "$base_url/chat/completions" \
  --header 'Authorization: Bearer demo' \
  --header 'Content-Type: application/json' \
  --data '{
    "model": "openai/gpt-4o-mini",
    "stream": true,
    "messages": [{"role": "user", "content": "Write a haiku about gateways."}]
  }'
