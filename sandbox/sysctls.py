"""What a network of a workload's own lets everybody in it do, as with Docker: listen on any port, and send pings. What
such a port is to be reached by, the machine decides. Shared: a microVM's kernel is told so by the agent, a container's
network by the runtime. Source: the kernel's Documentation/networking/ip-sysctl.rst.
"""

OPEN = {"ip_unprivileged_port_start": "0", "ping_group_range": "0 2147483647"}
"""By their names below net.ipv4."""
