from .options import Resolution as Resolution
from .run import recover as recover
