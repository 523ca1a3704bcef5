"""The structs that every part of DataForge shares: plain pydantic models that import nothing of ours."""
