"""The same image on a removable disk: a machine that installs itself onto a disk inside, and writes nothing else.

targets       the disks there are, what is on each, and what speaks against it
writing       bytes onto a disk: copied, and read again
installation  the steps, in the order that leaves no half system that boots
service       InstallService
server        it and the health service, on TLS and on a socket, with nobody to prove anything to
screen        what the console shows
running       these as one, in place of the daemon
"""
