//! The programs that can be launched: what each has to be told.
//!
//! In every text `{base}` is the base URL with `/v1`, `{origin}` the same without it, `{key}` the
//! client key, `{model}` the model, `{context}` its context in tokens or `null`, and `{folder}` the
//! folder of the files.

/// A program, and how it is pointed at the gateway.
#[derive(Debug)]
pub struct Client {
    /// The word after `fal-gateway launch`.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// The command that starts it; empty where the user's first argument is that.
    pub program: &'static str,
    /// How it is installed.
    pub install: &'static str,
    pub environment: &'static [(&'static str, &'static str)],
    /// Files that it reads, by their paths in a folder that is there while it runs.
    pub files: &'static [(&'static str, &'static str)],
    /// Arguments before the user's own.
    pub arguments: &'static [&'static str],
    /// What a user has to know, a sentence each.
    pub notes: &'static [&'static str],
}

/// A program that cannot be pointed here, and what is missing for it.
#[derive(Debug)]
pub struct Missing {
    pub name: &'static str,
    pub title: &'static str,
    /// Why not, after "cannot be launched: ".
    pub because: &'static str,
}

const OPENAI: &[(&str, &str)] = &[("OPENAI_BASE_URL", "{base}"), ("OPENAI_API_KEY", "{key}")];

/// A client without peculiarities, for the rows below to differ from.
const PLAIN: Client = Client {
    name: "",
    title: "",
    program: "",
    install: "",
    environment: OPENAI,
    files: &[],
    arguments: &[],
    notes: &[],
};

const LONG_REQUESTS: &str = "Its requests are long; fal.upstream = \"router\" or \"router-openai\" suits it better than any-llm where fal limits prompts.";

/// All that can be launched, agents first.
pub const CLIENTS: &[Client] = &[
    Client {
        name: "codex",
        title: "Codex",
        program: "codex",
        install: "npm install -g @openai/codex",
        environment: &[("FAL_GATEWAY_KEY", "{key}")],
        files: &[("catalogue.json", CODEX_CATALOGUE)],
        arguments: &[
            "-c",
            "model=\"{model}\"",
            "-c",
            "model_provider=\"fal\"",
            "-c",
            "model_providers.fal={name=\"fal\", base_url=\"{base}\", env_key=\"FAL_GATEWAY_KEY\", wire_api=\"responses\", request_max_retries=0, stream_max_retries=1}",
            "-c",
            "model_catalog_json=\"{folder}/catalogue.json\"",
            "-c",
            "web_search=\"disabled\"",
        ],
        notes: &[
            "Its own web search is switched off, because OpenAI runs it.",
            "The catalogue keeps it from offering tools that only OpenAI's models know.",
            LONG_REQUESTS,
        ],
    },
    Client {
        name: "claude",
        title: "Claude Code",
        program: "claude",
        install: "npm install -g @anthropic-ai/claude-code",
        environment: &[
            ("ANTHROPIC_BASE_URL", "{origin}"),
            ("ANTHROPIC_AUTH_TOKEN", "{key}"),
            ("ANTHROPIC_MODEL", "{model}"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("CLAUDE_CODE_ATTRIBUTION_HEADER", "0"),
        ],
        arguments: &["--tools", "Bash,Read,Edit,Write,Glob,Grep"],
        notes: &[
            "Only six of its tools are offered, because each makes every request longer.",
            LONG_REQUESTS,
        ],
        ..PLAIN
    },
    Client {
        name: "opencode",
        title: "opencode",
        program: "opencode",
        install: "npm install -g opencode-ai",
        environment: &[("OPENCODE_CONFIG", "{folder}/opencode.json")],
        files: &[(
            "opencode.json",
            r#"{
  "$schema": "https://opencode.ai/config.json",
  "provider": {
    "fal": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "fal",
      "options": {"baseURL": "{base}", "apiKey": "{key}"},
      "models": {"{model}": {"name": "{model}"}}
    }
  },
  "model": "fal/{model}"
}
"#,
        )],
        notes: &[LONG_REQUESTS],
        ..PLAIN
    },
    Client {
        name: "qwen-code",
        title: "Qwen Code",
        program: "qwen",
        install: "npm install -g @qwen-code/qwen-code",
        environment: &[
            ("OPENAI_BASE_URL", "{base}"),
            ("OPENAI_API_KEY", "{key}"),
            ("OPENAI_MODEL", "{model}"),
        ],
        arguments: &["--auth-type", "openai"],
        notes: &[LONG_REQUESTS],
        ..PLAIN
    },
    Client {
        name: "cline",
        title: "Cline",
        program: "cline",
        install: "npm install -g cline",
        environment: &[],
        files: &[(
            "settings/providers.json",
            r#"{
  "version": 1,
  "lastUsedProvider": "openai-compatible",
  "modes": {},
  "providers": {
    "openai-compatible": {
      "settings": {
        "provider": "openai-compatible",
        "apiKey": "{key}",
        "model": "{model}",
        "baseUrl": "{base}"
      },
      "updatedAt": "2026-01-01T00:00:00.000Z",
      "tokenSource": "manual"
    }
  }
}
"#,
        )],
        arguments: &[
            "--data-dir",
            "{folder}",
            "-P",
            "openai-compatible",
            "-m",
            "{model}",
        ],
        notes: &[
            "Its history goes with the folder of its settings, at the end of the run.",
            LONG_REQUESTS,
        ],
    },
    Client {
        name: "continue",
        title: "Continue",
        program: "cn",
        install: "npm install -g @continuedev/cli",
        environment: &[],
        files: &[(
            "fal.yaml",
            r#"name: fal
version: 0.0.1
schema: v1
models:
  - name: fal
    provider: openai
    model: "{model}"
    apiBase: "{base}"
    apiKey: "{key}"
    roles: [chat, edit, apply]
"#,
        )],
        arguments: &["--config", "{folder}/fal.yaml"],
        ..PLAIN
    },
    Client {
        name: "copilot",
        title: "GitHub Copilot CLI",
        program: "copilot",
        install: "npm install -g @github/copilot",
        environment: &[
            ("COPILOT_PROVIDER_BASE_URL", "{base}"),
            ("COPILOT_PROVIDER_API_KEY", "{key}"),
            ("COPILOT_MODEL", "{model}"),
            ("COPILOT_OFFLINE", "true"),
        ],
        notes: &[LONG_REQUESTS],
        ..PLAIN
    },
    Client {
        name: "aider",
        title: "aider",
        program: "aider",
        install: "pip install aider-chat",
        environment: &[("OPENAI_API_BASE", "{base}"), ("OPENAI_API_KEY", "{key}")],
        arguments: &["--model", "openai/{model}", "--no-show-model-warnings"],
        ..PLAIN
    },
    Client {
        name: "gptme",
        title: "gptme",
        program: "gptme",
        install: "pip install gptme",
        arguments: &["-m", "local/{model}", "--tool-format", "tool"],
        ..PLAIN
    },
    Client {
        name: "interpreter",
        title: "Open Interpreter",
        program: "interpreter",
        install: "pip install open-interpreter",
        environment: &[("OPENAI_API_KEY", "{key}")],
        arguments: &["--api_base", "{base}", "--model", "openai/{model}"],
        ..PLAIN
    },
    Client {
        name: "mini",
        title: "mini-swe-agent",
        program: "mini",
        install: "pip install mini-swe-agent",
        environment: &[
            ("OPENAI_API_BASE", "{base}"),
            ("OPENAI_BASE_URL", "{base}"),
            ("OPENAI_API_KEY", "{key}"),
            ("MSWEA_COST_TRACKING", "ignore_errors"),
        ],
        arguments: &["-m", "openai/{model}"],
        notes: &["It stops at models whose price it does not know, unless it is told to go on."],
        ..PLAIN
    },
    Client {
        name: "smolagent",
        title: "smolagents",
        program: "smolagent",
        install: "pip install 'smolagents[openai]'",
        environment: &[],
        arguments: &[
            "--model-type",
            "OpenAIModel",
            "--model-id",
            "{model}",
            "--api-base",
            "{base}",
            "--api-key",
            "{key}",
        ],
        notes: &["It takes its key as an argument only, which other users of the machine can see."],
        ..PLAIN
    },
    Client {
        name: "llm",
        title: "llm",
        program: "llm",
        install: "pip install llm",
        environment: &[("LLM_USER_PATH", "{folder}")],
        files: &[
            (
                "extra-openai-models.yaml",
                r#"- model_id: fal
  model_name: "{model}"
  api_base: "{base}"
  api_key_name: fal
  vision: true
  supports_tools: true
  supports_schema: true
"#,
            ),
            ("keys.json", "{\"fal\": \"{key}\"}\n"),
            ("default_model.txt", "fal"),
        ],
        notes: &["Its log goes with the folder of its settings, at the end of the run."],
        ..PLAIN
    },
    Client {
        name: "sgpt",
        title: "ShellGPT",
        program: "sgpt",
        install: "pip install shell-gpt",
        environment: &[
            ("API_BASE_URL", "{base}"),
            ("OPENAI_API_KEY", "{key}"),
            ("DEFAULT_MODEL", "{model}"),
            ("USE_LITELLM", "false"),
        ],
        ..PLAIN
    },
    Client {
        name: "promptfoo",
        title: "promptfoo",
        program: "promptfoo",
        install: "npm install -g promptfoo",
        notes: &["Name the model in its configuration: openai:chat:{model}."],
        ..PLAIN
    },
    Client {
        name: "lm-eval",
        title: "lm-evaluation-harness",
        program: "lm_eval",
        install: "pip install 'lm-eval[api]'",
        environment: &[("OPENAI_API_KEY", "{key}")],
        arguments: &[
            "--model",
            "local-chat-completions",
            "--model_args",
            "model={model},base_url={base}/chat/completions,tokenized_requests=False",
            "--apply_chat_template",
        ],
        notes: &[
            "Tasks that generate text work. Those that choose by probabilities of whole texts do not, because fal does not tell them.",
        ],
        ..PLAIN
    },
    Client {
        name: "inspect",
        title: "Inspect",
        program: "inspect",
        install: "pip install inspect-ai openai",
        environment: &[
            ("OPENAI_BASE_URL", "{base}"),
            ("OPENAI_API_KEY", "{key}"),
            ("INSPECT_EVAL_MODEL", "openai/{model}"),
        ],
        notes: &[
            "It can have logprobs only of models that tell them, through fal.upstream router-openai or auto.",
        ],
        ..PLAIN
    },
    Client {
        name: "open-webui",
        title: "Open WebUI",
        program: "open-webui",
        install: "pip install open-webui",
        environment: &[
            ("OPENAI_API_BASE_URL", "{base}"),
            ("OPENAI_API_KEY", "{key}"),
            ("ENABLE_OLLAMA_API", "False"),
        ],
        notes: &[
            "Say `serve` after its name.",
            "Switch its built-in tools off for the model, or else it offers dozens with every message.",
            "usage.always_stream = true lets it show token counts.",
        ],
        ..PLAIN
    },
    Client {
        name: "any",
        title: "Any program that reads OPENAI_BASE_URL",
        environment: &[
            ("OPENAI_BASE_URL", "{base}"),
            ("OPENAI_API_BASE", "{base}"),
            ("OPENAI_API_KEY", "{key}"),
            ("OPENAI_MODEL", "{model}"),
        ],
        notes: &[
            "Name the program and its arguments behind it: fal-gateway launch any python ask.py",
        ],
        ..PLAIN
    },
];

/// Programs that people ask for and that cannot be launched yet.
pub const MISSING: &[Missing] = &[
    Missing {
        name: "gemini",
        title: "Gemini CLI",
        because: "it speaks Google's Gemini API (generateContent), which this gateway does not serve",
    },
    Missing {
        name: "ollama",
        title: "Clients of Ollama",
        because: "they speak Ollama's own API (/api/chat), which this gateway does not serve",
    },
    Missing {
        name: "cursor-agent",
        title: "Cursor",
        because: "it asks Cursor's servers, and these would have to reach the gateway from the Internet",
    },
];

/// Codex's own description of a model (source: codex-rs/protocol/src/openai_models.rs, `ModelInfo`).
/// Without it Codex judges a model by its name.
const CODEX_CATALOGUE: &str = r#"{
  "models": [
    {
      "slug": "{model}",
      "display_name": "{model}",
      "description": "through fal-gateway",
      "supported_reasoning_levels": [],
      "shell_type": "unified_exec",
      "visibility": "list",
      "supported_in_api": true,
      "priority": 1,
      "base_instructions": "You are a coding agent in the user's terminal. Work on the task with the tools that you have until it is done, then say in a few words what you did. Look at files before you change them. To change a file, run `apply_patch` in the shell, with the patch as a here-document that begins with `*** Begin Patch` and ends with `*** End Patch`. Do not touch what the task does not need.",
      "supports_reasoning_summaries": false,
      "support_verbosity": false,
      "truncation_policy": {"mode": "bytes", "limit": 10000},
      "supports_parallel_tool_calls": true,
      "context_window": {context},
      "experimental_supported_tools": []
    }
  ]
}
"#;
