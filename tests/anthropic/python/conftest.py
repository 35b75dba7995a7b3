"""Which files belong to which major of the SDK: LangChain and Claude Code are tried with the new one."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("langchain_anthropic") else ["test_langchain.py", "test_claude_code.py"]
