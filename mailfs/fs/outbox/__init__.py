"""The directory of letters to send.

tree      its 9P nodes
letter    a letter as it is written, and its status
post      the letters of a user, from closed to sent
schedule  the thread that sends each letter when it has rested
send      handing one to marshal and send
"""
