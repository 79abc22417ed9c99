"""Stage 1/10 · Task files: a text a Rally user wrote, to a checked value of common/task or to exact complaints.

text → template (Jinja2) → document (YAML with positions) → format_v1 | format_v2 → common.task.TaskSpec
"""
