"""Against a real Argo CD: what each trigger does, and what each way around the hook does."""
