#!/usr/bin/env bash
# Asks for a whole answer. Start the gateway with `cargo run --release -- demo`, then run examples/curl/whole.sh.
set -euo pipefail

base_url=${OPENAI_BASE_URL:-http://127.0.0.1:3250/v1}

curl --silent --show-error --fail-with-body "$base_url/chat/completions" \
  --header 'Authorization: Bearer demo' \
  --header 'Content-Type: application/json' \
  --data '{
    "model": "openai/gpt-4o-mini",
    "messages": [
      {"role": "system", "content": "Answer in one sentence."},
      {"role": "user", "content": "What does an API gateway do?"}
    ]
  }'
echo
